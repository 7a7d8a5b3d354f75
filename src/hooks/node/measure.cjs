'use strict';
// Asks the attester to record what node is about to run (docs/formats/runassay.md, measure; docs/interpreters.md, Node.js).
//
//   const { file, buffer } = require('./measure.cjs');
//   const bytes = file('/srv/app/index.js');   // what was measured; undefined if it is no regular file that can be read
//   buffer('node-e', process._eval);           // what has no file
//
// Where no attester runs, one open fails, and nothing is asked for a second. With ASSAY_REQUIRED=1 an error of code
// ERR_ASSAY_UNMEASURED is thrown for what can't be measured; else one warning for a process says that something was not. For what
// the owner's policy refuses an error of code ERR_ASSAY_REFUSED is thrown in any case.

const fs = require('fs');
const path = require('path');

// The functions are taken now: what a program puts in their place later (graceful-fs does) is not called.
const { openSync, closeSync, readSync, writeSync, fstatSync, statfsSync, constants } = fs;
const { dlopen } = process;
const { now } = Date;
const { bigint: monotonic } = process.hrtime;

const NODE = '/run/assay/measure';
const FUSE_SUPER_MAGIC = 0x65735546;
// The kernel stamps changes with a clock that ticks every 1 to 10 ms: two changes in one tick look like one.
const TICK_MS = 11;

const isAbsent = () => absentUntil !== 0n && monotonic() < absentUntil;
const noteAbsent = () => { absentUntil = monotonic() + MOMENT_NS; };
const wanted = (name) => !['', '0'].includes(process.env[name] ?? '');
const required = wanted('ASSAY_REQUIRED');
const MOMENT_NS = 1_000_000_000n; // for so long it is taken for granted that no attester runs
let absentUntil = 0n;
let warned = false;
let sealed;

// The node is opened for each request: a program may close any number, or become another user.
function ask(request) {
  const node = openSync(NODE, constants.O_RDWR | constants.O_CLOEXEC);
  try {
    // An ordinary file of that name would take any request and measure nothing.
    if (statfsSync(`/proc/self/fd/${node}`).type !== FUSE_SUPER_MAGIC) {
      throw Object.assign(new Error(`${NODE} is no file of an attester`), { code: 'ENODEV' });
    }
    writeSync(node, request());
    const verdict = Buffer.alloc(16);
    if (verdict.toString('latin1', 0, readSync(node, verdict, 0, verdict.length, null)) === 'refused\n') {
      throw Object.assign(new Error('it is not in the manifest'), { code: REFUSED });
    }
  } finally {
    closeSync(node);
  }
}

const REFUSED = 'ERR_ASSAY_REFUSED';
const EDQUOT = 122; // libuv has no name for it

function failed(what, error) {
  if (error.code === REFUSED) {
    throw Object.assign(new Error(`assay: the owner's policy refuses ${what}: ${error.message}`), { code: REFUSED });
  }
  const why = error.errno === -EDQUOT ? 'this user has used up its quota of records' : error.message;
  if (required) {
    throw Object.assign(new Error(`assay: ${what} can't be measured, and ASSAY_REQUIRED is set: ${why}`),
                        { code: 'ERR_ASSAY_UNMEASURED', cause: error });
  }
  if (error.code === 'ENOENT') {
    noteAbsent();
  } else if (!warned) {
    warned = true;
    process.emitWarning(`${what} could not be measured (no more is said of others): ${why}`, 'AssayWarning');
  }
}

const stamp = (st) => `${st.dev} ${st.ino} ${st.size} ${st.mtimeMs} ${st.ctimeMs}`;

function readAll(fd, size) {
  const parts = [];
  for (let at = 0; ;) {
    const part = Buffer.allocUnsafeSlow(Math.max(size + 1 - at, 4096));
    const n = readSync(fd, part, 0, part.length, at);
    if (n === 0) return parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts.push(part.subarray(0, n));
    at += n;
  }
}

// Records the file behind a path, and returns the bytes that were recorded: they are read from the same descriptor, and the
// file did not change meanwhile. What changes is recorded as a buffer. Undefined: no regular file that can be read.
function file(name) {
  let fd;
  try {
    fd = openSync(name, constants.O_RDONLY | constants.O_CLOEXEC | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined; // the caller's own attempt tells why
  }
  try {
    const before = fstatSync(fd);
    const settled = now() - before.ctimeMs > TICK_MS;
    if (!before.isFile()) return undefined;
    if (isAbsent()) return readAll(fd, before.size);
    try {
      ask(() => `fd:${fd}\n`);
    } catch (error) {
      failed(name, error);
      return readAll(fd, before.size);
    }
    const bytes = readAll(fd, before.size);
    if (!settled || stamp(fstatSync(fd)) !== stamp(before)) buffer('node-file', bytes);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

function memfd(data) {
  if (sealed === undefined) {
    const addOn = { exports: {} };
    dlopen(addOn, path.join(__dirname, 'memfd.node'));
    sealed = addOn.exports;
  }
  return sealed(Buffer.from(data));
}

// Records what has no file: text that is compiled as it is.
function buffer(what, data) {
  if (isAbsent()) return;
  let fd;
  try {
    ask(() => {
      fd = memfd(data);
      return `buffer:${fd}:${what}\n`;
    });
  } catch (error) {
    failed(what, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

// Says that this process has its code measured. An attester of a former version does not know this request.
function announce() {
  try {
    ask(() => 'hook:node\n');
  } catch (error) {
    if (error.code === 'ENOENT' && !required) noteAbsent();
  }
}

module.exports = { file, buffer, announce, wanted, asks: () => !isAbsent() };
