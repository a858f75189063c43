// Builds the page: one HTML file with its program and style within, and a policy that allows nothing else.
//
//   node build.mjs [OUT]      OUT: where to write it; the default is dist/tierlib_trace.html, which is in the repository
//
// The same sources give the same bytes. The page carries a hash of its sources, which page_sources.cmake computes too, so that
// a test without Node can say whether the built page belongs to them.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(root, 'dist', 'tierlib_trace.html');

// Relative paths of what decides about the built page, in the order of their bytes.
function Sources() {
  const files = readdirSync(join(root, 'src'), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => join(entry.parentPath ?? entry.path, entry.name).slice(root.length + 1));
  return [...files, 'build.mjs', 'package-lock.json'].sort((a, b) => (a < b ? -1 : 1));
}

function SourceHash() {
  const lines = Sources().map(file => {
    const bytes = readFileSync(join(root, file));
    return `${createHash('sha256').update(bytes).digest('hex')}  ${file}\n`;
  });
  return createHash('sha256').update(lines.join('')).digest('hex');
}

function PolicyHash(text) {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

const options = { bundle: true, minify: true, write: false, target: 'es2022', charset: 'utf8', legalComments: 'none' };
const script = await build({ ...options, entryPoints: [join(root, 'src/main.ts')], format: 'iife' });
const style = await build({ ...options, entryPoints: [join(root, 'src/shell/style.css')] });
const program = script.outputFiles[0].text.trim().replaceAll('</script', '<\\/script');
const sheet = style.outputFiles[0].text.trim();

const policy = [
  "default-src 'none'",
  `script-src ${PolicyHash(program)}`,
  `style-src ${PolicyHash(sheet)}`,
  'img-src data: blob:',
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

// The marks are put in by functions: '$' in the program means nothing.
const page = readFileSync(join(root, 'src/shell/index.html'), 'utf8')
  .replace('%POLICY%', () => policy)
  .replace('%SOURCES%', () => SourceHash())
  .replace('%STYLE%', () => sheet)
  .replace('%PROGRAM%', () => program);
mkdirSync(dirname(out), { recursive: true });
writeFileSync(out, page);
console.log(`${out}: ${page.length} characters`);
