// Internal: the files of an rpm package, by the digests in its header.
//
//   // given: const std::string& path
//   ASSAY_ASSIGN(const PackageContent content, ReadRpm(path));   // "bash-5.1.8-6.el9.x86_64.rpm"
//   for (const PackagedFile& file : content.files) log::Info("{} {}", file.path, file.digest.ToString());
//
// Contract: the payload is not read, because rpm itself refuses to install a file whose content is not what
// the header says. The header must be what its own SHA-256 says; its signature is not looked at. Refused
// (ParseError "rpm"): file digests of other algorithms than SHA-256, entries that lie over each other or
// outside the header, a tag that is there twice, paths with "..". The source is the name of the source
// package's file ("bash-5.1.8-6.el9.src.rpm"), by which packages of rpm are told from those of Debian.
// Source: rpm's "RPM v4 format" (docs/manual/format_v4.md), rpmtag.h.
#pragma once

#include <string>

#include "reference/package_file.h"

namespace assay::reference {

Result<PackageContent> ReadRpm(const std::string& path);
// A package in memory, of which the payload may be missing; name is for error messages.
Result<PackageContent> ReadRpmBytes(ByteView bytes, const std::string& name);

}  // namespace assay::reference
