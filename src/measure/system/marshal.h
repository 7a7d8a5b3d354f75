// Internal: the short texts of Python's byte code. Python has each text of at most one character once in
// memory, and marks it as interned as soon as any module of the process uses it as a name. marshal writes
// that mark, so the same source has other byte code after other modules were loaded; no program can tell the
// difference.
//
//   // given: ByteView object
//   const Bytes code = WithoutInternedMarks(object);   // what follows the header of a .pyc file
//
// Contract: only the types of such texts are changed, and only if the whole object is one that Python 3.11
// writes for a module. Anything else is returned as it is. Any bytes may be given, and the time is linear.
#pragma once

#include "base/bytes.h"

namespace assay::measure {

Bytes WithoutInternedMarks(ByteView object);

}  // namespace assay::measure
