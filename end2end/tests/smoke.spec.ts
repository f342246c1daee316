/** The server answers, and a person who is not signed in gets a page that works. */
import { expect, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';

test('the health check answers', async ({ request }) => {
  const response = await request.get('/api/health');
  expect(response.status()).toBe(200);
});

test('the sign-in page is whole', async ({ page }) => {
  await page.goto('/sign-in');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expectAccessible(page);
});

test('a page carries the WASM of its own island only, and at most 150 kB of it', async ({ page, request }) => {
  const loaded: string[] = [];
  page.on('request', (sent) => {
    if (sent.url().endsWith('.wasm')) loaded.push(new URL(sent.url()).pathname);
  });
  await register(page);
  for (const path of ['/', '/training', '/training/new', '/models', '/settings']) {
    await page.goto(path, { waitUntil: 'networkidle' });
    expect(loaded, path).toEqual([]);
  }
  await page.goto('/data', { waitUntil: 'networkidle' });
  expect(loaded.map((path) => path.replace(/\..*/, ''))).toEqual(['/pkg/uploader']);

  const manifest: Record<string, string> = await (await request.get('/pkg/manifest.json')).json();
  const modules = Object.values(manifest).filter((name) => name.endsWith('.wasm'));
  expect(modules).toHaveLength(3);
  for (const name of modules) {
    const answer = await request.get(`/pkg/${name}`, { headers: { 'accept-encoding': 'br' } });
    expect(answer.headers()['content-encoding'], name).toBe('br');
    expect(Number(answer.headers()['content-length']), name).toBeLessThanOrEqual(150_000);
  }
});
