'use strict';
// Has this node's code measured before it runs: node --require /usr/lib/assay/node/hook.cjs, or NODE_OPTIONS (docs/interpreters.md,
// Node.js, says what is covered). Node.js runs it in each thread before anything of the program.

const fs = require('fs');
const Module = require('module');
const path = require('path');
const { URL, fileURLToPath, pathToFileURL } = require('url');
const threads = require('worker_threads');
const { file, buffer, announce, wanted, asks } = require('./measure.cjs');

// --- CommonJS ----------------------------------------------------------------------------------------------------------------
// All text of a module passes _compile. It is the file's, or what a transpiler or a program made.
const { _compile } = Module.prototype;
// What node itself compiles around the text of -e and the like, which is measured below.
const WRAPPERS = ['[eval]-wrapper', '[stdin]-wrapper', '[worker eval]-wrapper'];

function measuredText(content, filename) {
  if (WRAPPERS.includes(filename) || !asks()) return;
  const bytes = path.isAbsolute(filename) ? file(filename) : undefined;
  if (bytes === undefined || bytes.toString() !== content) buffer('node-compile', content);
}

Module.prototype._compile = function(content, filename, ...rest) {
  measuredText(content, filename);
  return _compile.call(this, content, filename, ...rest);
};

// A file that can't be opened as one (a pipe), or that has come just now.
function unnamed(bytes) {
  buffer('node-file', bytes);
  return bytes;
}

const { readFileSync } = fs;
Module._extensions['.json'] = function(module, filename) {
  const bytes = file(filename) ?? unnamed(readFileSync(filename));
  try {
    module.exports = JSON.parse(bytes.toString().replace(/^\uFEFF/, ''));
  } catch (error) {
    error.message = `${filename}: ${error.message}`;
    throw error;
  }
};

// The engine measures the mapping, too: the loader opens the add-on by its path.
const { dlopen } = process;
process.dlopen = function(module, filename, ...rest) {
  file(filename);
  return dlopen.call(this, module, filename, ...rest);
};

// --- ES modules ----------------------------------------------------------------------------------------------------------------
// A thread that node made for loaders' hooks, where the program's modules are loaded but not run.
const loadersThread = !threads.isMainThread && threads.parentPort === null;
if (process.versions.node.startsWith('18.')) {
  // Node.js 18, which gets no new features, reads every module with fs.promises.readFile(URL). Its own hooks would cost a thread
  // for each process, and half as much time again for its start.
  const { readFile } = fs.promises;
  fs.promises.readFile = async function(...args) {
    if (args.length === 1 && args[0] instanceof URL && args[0].protocol === 'file:') {
      return file(fileURLToPath(args[0])) ?? unnamed(await readFile.apply(this, args));
    }
    return readFile.apply(this, args);
  };
} else if (!loadersThread) {
  Module.register('./esm.mjs', pathToFileURL(__filename));
}

// --- What has no file ------------------------------------------------------------------------------------------------------------
if (threads.isMainThread) {
  announce();
  if (typeof process._eval === 'string') {
    buffer('node-e', process._eval);
  } else {
    // Node.js puts here what it has read from stdin, and then runs it.
    let text;
    Object.defineProperty(process, '_eval', {
      configurable: true,
      enumerable: true,
      get: () => text,
      set(value) {
        if (typeof value === 'string') buffer('node-stdin', value);
        text = value;
      },
    });
  }
}

// A worker with an environment of its own must get this hook, too.
threads.Worker = class Worker extends threads.Worker {
  constructor(filename, options) {
    if (options?.eval) buffer('node-worker', String(filename));
    const env = options?.env;
    if (env !== null && typeof env === 'object' && !String(env.NODE_OPTIONS ?? '').includes(__filename)) {
      const own = `--require "${__filename}" ${env.NODE_OPTIONS ?? ''}`;
      super(filename, { ...options, env: { ...env, NODE_OPTIONS: own } });
    } else {
      super(filename, options);
    }
  }
};

// --- On request: texts that a program compiles itself ---------------------------------------------------------------------------------
if (wanted('ASSAY_EVAL')) {
  const vm = require('vm');
  vm.Script = class Script extends vm.Script {
    constructor(code, ...rest) {
      buffer('node-vm', String(code));
      super(code, ...rest);
    }
  };
  for (const name of ['runInThisContext', 'runInContext', 'runInNewContext', 'compileFunction', 'createScript']) {
    const original = vm[name];
    if (original === undefined) continue;
    vm[name] = function(code, ...rest) {
      buffer('node-vm', String(code));
      return original.call(this, code, ...rest);
    };
  }
}

Module.syncBuiltinESMExports();
