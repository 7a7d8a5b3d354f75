// Runs in the thread that node (20 and later) has for loaders' hooks: measures ES modules before they are compiled.
import { fileURLToPath } from 'node:url';
import measure from './measure.cjs';

export async function load(url, context, nextLoad) {
  const loaded = await nextLoad(url, context);
  // CommonJS comes without text: hook.cjs measures it when it is compiled.
  if (loaded.source === null || loaded.source === undefined) return loaded;
  if (!url.startsWith('file:')) {
    measure.buffer('node-import', loaded.source);
    return loaded;
  }
  const source = Buffer.from(loaded.source);
  const bytes = measure.file(fileURLToPath(url));
  // What a loader before this one made of the file is the program's text.
  if (bytes === undefined || !bytes.equals(source)) measure.buffer('node-import', source);
  return { ...loaded, source };
}
