/** The walk of docs/API.md, command by command, as a script would take it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '../fixtures';

test('the documented commands lead from a file to a model', async ({ server }) => {
  test.setTimeout(300_000);
  const document = await readFile(resolve(import.meta.dirname, '../../docs/API.md'), 'utf8');
  const walk = document.match(/^```sh\n([\s\S]*?)^```/m)?.[1] ?? '';
  expect(walk).toContain('URL=http://127.0.0.1:5000\n');
  const folder = await mkdtemp(join(tmpdir(), 'llm-tuner-api-'));
  try {
    const script = `set -euo pipefail\n${walk.replace('http://127.0.0.1:5000', server.url)}`;
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: folder, timeout: 280_000 });
    expect(stdout).toContain('"finish_reason"');
    const archive = await stat(join(folder, 'model.zip'));
    expect(archive.size).toBeGreaterThan(1_000_000);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
