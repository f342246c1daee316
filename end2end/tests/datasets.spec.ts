/** Data: dropped, judged in the browser, sent, mended, given columns, renamed, deleted; and all of it without JavaScript. */
import { createHash } from 'node:crypto';
import { readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';
import { expect, secondPerson, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';
import { Line } from '../line';

const good = Array.from({ length: 60 }, (_, i) => JSON.stringify({ prompt: `question ${i + 1}`, completion: `answer ${i + 1}` })).join('\n');
const mixed = `${good}\nnot json at all\n`;

type Given = { name: string; content: string | Buffer };

const asFiles = (files: Given[]) =>
  files.map(({ name, content }) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) }));

/** Chooses files once the island lives: until then its own button is there. */
async function choose(page: Page, ...files: Given[]): Promise<void> {
  await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeHidden();
  await page.locator('#files').setInputFiles(asFiles(files));
}

/** The card of a chosen file. */
const card = (page: Page, name: string) =>
  page.getByRole('list', { name: 'Files chosen here' }).locator('> li').filter({ has: page.getByText(name, { exact: true }) });

test('an empty list says what to do, and a sample is one press away', async ({ page }) => {
  await register(page);
  await page.goto('/data');
  await expect(page.getByRole('heading', { name: 'No data yet' })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Add Sentences to commands' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Sentences to commands');
  await expect(page.locator('.page-header').getByText('ready')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Train on this' })).toHaveAttribute('href', /\/training\/new\?dataset=/);
  await expect(page.getByText('3,000').first()).toBeVisible();
  await expectAccessible(page);
});

test('a good file is read in the browser, sent, and opened', async ({ page }) => {
  await register(page);
  await page.goto('/data');
  await choose(page, { name: 'good.jsonl', content: good });
  await expect(page).toHaveURL(/\/data\/[0-9a-z]{26}/);
  await expect(page.getByText('question 1', { exact: true })).toBeVisible();
  await page.getByRole('link', { name: 'Next' }).click();
  await expect(page.getByText('question 21', { exact: true })).toBeVisible();
  await page.getByLabel('Row', { exact: true }).fill('60');
  await page.getByRole('button', { name: 'Go' }).click();
  await expect(page.getByText('answer 60', { exact: true })).toBeVisible();
  for (const way of ['Table', 'As written']) {
    await page.getByRole('link', { name: way }).click();
    await expect(page.getByText('question 41', { exact: false }).first()).toBeVisible();
    await expectAccessible(page);
  }
});

test('many files: what is bad is said before a byte is sent, and the rest goes through', async ({ page }) => {
  await register(page);
  await page.goto('/data');
  const sent: string[] = [];
  page.on('request', (request) => {
    const name = request.headers()['upload-metadata']?.split(' ')[1];
    if (name) sent.push(Buffer.from(name, 'base64').toString());
  });
  await choose(
    page,
    { name: 'mixed.jsonl', content: mixed },
    { name: 'empty.csv', content: '' },
    { name: 'picture.csv', content: Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7919) % 251)) },
    { name: 'wide.csv', content: Buffer.from('\ufeffprompt,completion\na,b\n', 'utf16le') },
    { name: 'packed.jsonl.gz', content: gzipSync(good) },
    { name: 'columns.csv', content: 'title,body\nx,y\nz,w\n' },
  );
  await expect(card(page, 'mixed.jsonl')).toContainText('Line 61');
  await expect(card(page, 'empty.csv')).toContainText("can't be trained on. Nothing was sent.");
  await expect(card(page, 'empty.csv')).toContainText('The file is empty');
  await expect(card(page, 'picture.csv')).toContainText("can't be trained on. Nothing was sent.");
  await expect(card(page, 'wide.csv')).toContainText('UTF-16');
  for (const name of ['wide.csv', 'packed.jsonl.gz', 'columns.csv']) {
    await expect(card(page, name).getByRole('link', { name: 'Open' })).toBeVisible();
  }
  expect(sent.sort(), 'bad files were not sent').toEqual(['columns.csv', 'packed.jsonl.gz', 'wide.csv']);
  await expectAccessible(page);
  // The table shows the new rows without a reload.
  const table = page.getByRole('table', { name: 'Datasets' });
  await expect(table.getByRole('row').filter({ hasText: 'columns.csv' })).toContainText('needs columns');
  await expect(table.getByRole('row').filter({ hasText: 'packed.jsonl.gz' })).toContainText('ready');

  // The person decides about the mixed one.
  await card(page, 'empty.csv').getByRole('button', { name: 'Dismiss' }).click();
  await expect(card(page, 'empty.csv')).toHaveCount(0);
  await card(page, 'mixed.jsonl').getByRole('button', { name: 'Upload and repair there' }).click();
  await card(page, 'mixed.jsonl').getByRole('link', { name: 'Open' }).click();
  await expect(page.getByText('This data needs fixing before training')).toBeVisible();
  await page.getByRole('link', { name: /^Findings/ }).click();
  await expect(page.getByText('Line 61')).toBeVisible();
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Make a repaired copy' }).first().click();
  await expect(page.getByText('Version 2 keeps 60 rows; 1 row is set aside in a file under Versions.')).toBeVisible();
  await expect(page.locator('.page-header').getByText('ready')).toBeVisible();
  await page.getByRole('link', { name: /^Versions/ }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /Lines that were set aside/ }).click()]);
  expect(download.suggestedFilename()).toBe('mixed-rejected.jsonl');
});

test.describe('a lost connection', () => {
  const rows = Array.from({ length: 60_000 }, (_, i) => JSON.stringify({ prompt: `question ${i + 1}`, completion: `answer ${i + 1}` }));
  const large = Buffer.from(rows.join('\n'));
  const hash = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

  /** At which offsets the page sent pieces. */
  function offsets(page: Page): number[] {
    const seen: number[] = [];
    page.on('request', (request) => request.method() === 'PATCH' && seen.push(Number(request.headers()['upload-offset'])));
    return seen;
  }

  /** What a server has of files that are not whole yet. */
  async function partialBytes(dataDir: string): Promise<number> {
    const root = join(dataDir, 'objects', '.partial');
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    const files = entries.filter((entry) => entry.isFile());
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  /** The dataset that the page came to has the file's bytes, and is the only one. */
  async function expectWhole(page: Page): Promise<void> {
    await expect(page).toHaveURL(/\/data\/[0-9a-z]{26}/);
    const id = new URL(page.url()).pathname.split('/').pop();
    const kept = await page.request.get(`/api/datasets/${id}/download`);
    expect(hash(await kept.body())).toBe(hash(large));
    expect((await (await page.request.get('/api/datasets')).json()).datasets).toHaveLength(1);
  }

  test('midway: the upload goes on by itself where it stopped', async ({ page, server, problems }) => {
    problems.allow(/another host|Failed to load resource|ERR_/);
    await register(page);
    const line = await Line.to(server.url);
    await page.goto(`${line.url}/data`);
    const pieces = offsets(page);
    const held = line.holdAfter(1_500_000);
    await choose(page, { name: 'large.jsonl', content: large });
    await held;
    line.cut();
    await expect(card(page, 'large.jsonl')).toContainText(/Connection lost\. Going on at \d+ %…/);
    await expectWhole(page);
    expect(pieces).toHaveLength(2);
    expect(pieces[1], 'it did not begin anew').toBeGreaterThan(0);
    await line.end();
  });

  test('because the server was killed: nothing that it had is sent again', async ({ page, server, problems }) => {
    problems.allow(/another host|Failed to load resource|ERR_/);
    await register(page);
    const line = await Line.to(server.url);
    await page.goto(`${line.url}/data`);
    const pieces = offsets(page);
    const held = line.holdAfter(1_500_000);
    await choose(page, { name: 'large.jsonl', content: large });
    await held;
    await expect.poll(() => partialBytes(server.dataDir)).toBeGreaterThan(0);
    const had = await partialBytes(server.dataDir);
    await server.restart('SIGKILL');
    line.cut();
    await expectWhole(page);
    expect(pieces.at(-1), 'it goes on where the killed server was').toBeGreaterThanOrEqual(had);
    await line.end();
  });

  test('and a page that was closed: the same file goes on when it is chosen again', async ({ page, server, problems }, testInfo) => {
    problems.allow(/another host|Failed to load resource|ERR_/);
    await register(page);
    const line = await Line.to(server.url);
    await page.goto(`${line.url}/data`);
    const file = testInfo.outputPath('large.jsonl');
    await writeFile(file, large);
    await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeHidden();
    const held = line.holdAfter(1_500_000);
    await page.locator('#files').setInputFiles(file);
    await held;
    line.cut();
    await page.goto(`${line.url}/data`);
    const pieces = offsets(page);
    await expect(page.getByRole('button', { name: 'Upload', exact: true })).toBeHidden();
    await page.locator('#files').setInputFiles(file);
    await expectWhole(page);
    expect(pieces).toHaveLength(1);
    expect(pieces[0], 'it did not begin anew').toBeGreaterThan(0);
    await line.end();
  });

  test('that does not come back is told, and “Try again” goes on', async ({ page, problems }) => {
    problems.allow(/Failed to load resource|ERR_/);
    await register(page);
    await page.clock.install();
    await page.goto('/data');
    const name = 'a-rather-long-name-of-a-file-of-training-data.jsonl';
    await page.route('**/api/uploads/*', (route) => route.abort('connectionreset'));
    await choose(page, { name, content: good });
    await expect(async () => {
      await page.clock.fastForward(16_000);
      await expect(card(page, name)).toContainText('What was sent is kept for a day', { timeout: 200 });
    }).toPass();
    await expectAccessible(page);
    await page.setViewportSize({ width: 360, height: 800 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(over, 'a long name does not widen the page').toBeLessThanOrEqual(0);
    await page.unroute('**/api/uploads/*');
    await card(page, name).getByRole('button', { name: 'Try again' }).click();
    await expect(page).toHaveURL(/\/data\/[0-9a-z]{26}/);
  });
});

test('an upload is cancelled and leaves nothing', async ({ page, problems }) => {
  problems.allow(/Failed to load resource|ERR_/);
  await register(page);
  await page.goto('/data');
  const begun = page.waitForResponse((response) => response.url().endsWith('/api/uploads'));
  const deleted = page.waitForResponse((response) => response.request().method() === 'DELETE');
  // The piece never gets through.
  await page.route('**/api/uploads/*', (route) => (route.request().method() === 'PATCH' ? undefined : route.continue()));
  await choose(page, { name: 'good.jsonl', content: good });
  const address = (await begun).headers()['location'] ?? '';
  await expect(card(page, 'good.jsonl')).toContainText(/Upload/);
  await card(page, 'good.jsonl').getByRole('button', { name: 'Cancel' }).click();
  await expect(card(page, 'good.jsonl')).toContainText('Cancelled. Nothing was kept.');
  expect((await deleted).status()).toBe(204);
  const gone = await page.request.head(address, { headers: { 'tus-resumable': '1.0.0' } });
  expect(gone.status()).toBe(404);
  await page.unroute('**/api/uploads/*');
  await page.reload();
  await expect(page.getByRole('heading', { name: 'No data yet' })).toBeVisible();
});

test('columns are given their roles in the head of the table', async ({ page }) => {
  await register(page);
  await page.goto('/data');
  await choose(page, { name: 'tickets.csv', content: `number,subject,team\n${Array.from({ length: 60 }, (_, i) => `${i},words ${i},team ${i % 7}`).join('\n')}\n` });
  await expect(page.getByText('Say what the columns are for')).toBeVisible();
  await expectAccessible(page);
  await page.getByLabel('What the column team is for').selectOption('Ignore');
  await page.getByLabel('What the column subject is for').selectOption('Prompt');
  await page.getByRole('button', { name: 'Confirm the roles' }).click();
  await expect(page.getByText("The columns can't be used like this")).toBeVisible();
  await expect(page.getByLabel('What the column subject is for')).toHaveValue('prompt');
  await page.getByLabel('What the column team is for').selectOption('Completion');
  await page.getByLabel('What the column number is for').selectOption('Ignore');
  await page.getByRole('button', { name: 'Confirm the roles' }).click();
  await expect(page.locator('.page-header').getByText('ready')).toBeVisible();
});

test('lengths are cut where the person says', async ({ page }) => {
  await register(page);
  const answer = await page.request.post('/api/upload', { multipart: { files: asFiles([{ name: 'a.jsonl', content: good }])[0] ?? '' } });
  const id = (await answer.json()).files[0].dataset_id;
  await page.goto(`/data/${id}?tab=statistics`);
  await expect(page.getByText('Every row fits into 512 tokens.')).toBeVisible();
  await page.goto(`/data/${id}?tab=statistics&length=2`);
  await expect(page.getByText(/of the rows are longer than 2 tokens/)).toBeVisible();
  await page.getByLabel('Cut at').press('End');
  await expect(page.getByText('Every row fits into 2,048 tokens.')).toBeVisible();
  await expectAccessible(page);
});

test('renamed, and deleted after a question', async ({ page }) => {
  await register(page);
  const answer = await page.request.post('/api/upload', { multipart: { files: asFiles([{ name: 'a.jsonl', content: good }])[0] ?? '' } });
  await page.goto(`/data/${(await answer.json()).files[0].dataset_id}`);
  await page.getByRole('button', { name: 'Rename' }).click();
  const dialog = page.getByRole('dialog', { name: 'Rename dataset' });
  await dialog.getByLabel('Name').fill('x'.repeat(200));
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Save name' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('x'.repeat(200));
  await page.setViewportSize({ width: 360, height: 800 });
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(over, 'a long name does not widen the page').toBeLessThanOrEqual(0);
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('button', { name: 'Delete dataset' }).click();
  await expect(page.getByText('The dataset was deleted.')).toBeVisible();
});

test("another person's dataset does not exist", async ({ page, browser, server, problems }) => {
  problems.allow(/404/);
  await register(page);
  const answer = await page.request.post('/api/upload', { multipart: { files: asFiles([{ name: 'secret.jsonl', content: good }])[0] ?? '' } });
  const id = (await answer.json()).files[0].dataset_id;
  const other = await secondPerson(browser, server, problems);
  await register(other);
  expect((await other.goto(`/data/${id}`))?.status()).toBe(404);
  await other.goto('/data');
  await expect(other.getByText('secret.jsonl')).toHaveCount(0);
  await other.context().close();
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('the same box is a plain form', async ({ page }) => {
    await register(page);
    await page.goto('/data');
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await page.locator('#files').setInputFiles(asFiles([{ name: 'mixed.jsonl', content: mixed }]));
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await expect(page.getByText('“mixed.jsonl” was uploaded.')).toBeVisible();
    await page.getByRole('button', { name: 'Make a repaired copy' }).first().click();
    await expect(page.getByText('Version 2 keeps 60 rows')).toBeVisible();
    await page.getByRole('button', { name: 'Rename' }).click();
    await page.getByRole('dialog').getByLabel('Name').fill('Renamed');
    await page.getByRole('button', { name: 'Save name' }).click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Renamed');
    await page.getByRole('link', { name: 'Statistics' }).click();
    await page.getByRole('link', { name: '64', exact: true }).click();
    await expect(page.getByText('Every row fits into 64 tokens.')).toBeVisible();
    await page.goto('/data');
    await page.locator('#files').setInputFiles(asFiles([{ name: 'a.txt', content: '' }, { name: 'b.jsonl', content: good }]));
    await page.getByRole('button', { name: 'Upload', exact: true }).click();
    await expect(page.getByText('2 files were uploaded, 1 ready, 1 to be looked at.')).toBeVisible();
  });
});
