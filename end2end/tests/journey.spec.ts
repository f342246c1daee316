/** The main job: sign up, take the sample, train, watch it get right, talk to it, download it. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { expect, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';

test('from the sign-up page to a tuned model', async ({ page }) => {
  test.setTimeout(600_000);
  await register(page, { fullName: 'Ada Lovelace', email: 'ada@example.org', password: 'engines of analysis' });
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Tune a language model');
  await expectAccessible(page);

  await page.getByRole('button', { name: 'Try it with sample data' }).click();
  await expect(page).toHaveURL(/\/training\/new/);
  const start = page.getByRole('button', { name: 'Start training' });
  // The sample is checked in the background; the card says so until it is ready.
  await expect(async () => {
    if (!(await start.isVisible())) await page.reload();
    await expect(start).toBeVisible({ timeout: 3_000 });
  }).toPass();
  await expect(page.locator('#plan')).toContainText('Tune nano on Sentences to commands');
  await expectAccessible(page);
  // A double click starts one job.
  await start.dblclick();
  await expect(page).toHaveURL(/\/training\/nano-sentences-to-commands-/);
  const job = page.url().split('/').pop() ?? '';

  await expect(page.locator('#job-head')).toContainText('Training', { timeout: 60_000 });
  await expect(page.locator('leptos-island .live-plot')).toBeVisible();
  await expect(page.locator('leptos-island .log-live')).not.toBeEmpty();
  await expectAccessible(page);
  // Training goes on while nobody looks, and the page is whole again on return.
  await page.goto('/models');
  await page.goto(`/training/${job}`);
  await expect(page.getByRole('link', { name: 'Talk to it' })).toBeVisible({ timeout: 420_000 });
  await expect(page.locator('leptos-island')).toContainText(/\d+ of \d+ right at step/);

  const jobs = await (await page.request.get('/api/training-jobs')).json();
  expect(jobs.training_jobs, 'the double click started one job').toHaveLength(1);

  await page.getByRole('link', { name: 'Talk to it' }).click();
  await page.getByLabel('Prompt').fill('remind me to call Anna at 5 pm');
  await page.getByRole('button', { name: 'Ask' }).click();
  // By the island, or by the plain form where the press came before it.
  await expect(page.getByRole('article').filter({ hasText: 'reminder' })).toBeVisible();
  await expect(page.getByText('tokens/s').first()).toBeVisible();
  await expectAccessible(page);

  await page.goto('/models');
  await expectAccessible(page);
  await page.getByRole('table').getByRole('link').first().click();
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Download all' }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/\.zip$/);
  const archive = await readFile(await download.path());
  expect(archive.subarray(0, 2).toString()).toBe('PK');

  const model = (await (await page.request.get('/api/models')).json()).models[0];
  const file = model.files.find((one: { path: string }) => one.path === 'config.json');
  const whole = await (await page.request.get(file.url)).body();
  expect(createHash('sha256').update(whole).digest('hex')).toBe(file.sha256);
  const part = await page.request.get(file.url, { headers: { range: 'bytes=0-9' } });
  expect(part.status()).toBe(206);
  expect((await part.body()).equals(whole.subarray(0, 10))).toBe(true);
});
