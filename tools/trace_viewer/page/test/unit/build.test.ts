// The page in the repository is what its sources give, to the byte.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('building again gives the same page', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tierlib-page-build-'));
  try {
    execFileSync(process.execPath, [join(root, 'build.mjs'), join(folder, 'page.html')], { stdio: 'pipe' });
    const built = readFileSync(join(folder, 'page.html'));
    expect(built.equals(readFileSync(join(root, 'dist/tierlib_trace.html')))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
