/** Data: dropped, judged in the browser, sent, mended, given columns, renamed, deleted; and all of it without JavaScript. */
import { gzipSync } from 'node:zlib';
import type { Page } from '@playwright/test';
import { expect, secondPerson, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';

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
  page.on('request', (request) => request.url().endsWith('/api/upload') && sent.push(request.postDataBuffer()?.toString() ?? ''));
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
  expect(sent.filter((body) => /mixed|empty|picture/.test(body)), 'bad files were not sent').toEqual([]);
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

test('a lost connection is told and the upload tried again', async ({ page, problems }) => {
  problems.allow(/Failed to load resource|ERR_/);
  await register(page);
  await page.goto('/data');
  await page.route('**/api/upload', (route) => route.abort('connectionreset'));
  await choose(page, { name: 'good.jsonl', content: good });
  await expect(card(page, 'good.jsonl')).toContainText('The connection was lost');
  await page.unroute('**/api/upload');
  await card(page, 'good.jsonl').getByRole('button', { name: 'Try again' }).click();
  await expect(page).toHaveURL(/\/data\/[0-9a-z]{26}/);
});

test('an upload is cancelled and leaves nothing', async ({ page, problems }) => {
  problems.allow(/Failed to load resource|ERR_/);
  await register(page);
  await page.goto('/data');
  let release = () => {};
  const held = new Promise<void>((free) => (release = free));
  await page.route('**/api/upload', async (route) => {
    await held;
    await route.continue().catch(() => {});
  });
  await choose(page, { name: 'good.jsonl', content: good });
  await expect(card(page, 'good.jsonl')).toContainText(/Upload/);
  await card(page, 'good.jsonl').getByRole('button', { name: 'Cancel' }).click();
  await expect(card(page, 'good.jsonl')).toContainText('Cancelled. Nothing was kept.');
  release();
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
