/** The training form's mistakes, a job stopped, and the whole way without JavaScript. */
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '../fixtures';
import { expectAccessible, over, register, rows, upload } from '../helpers';

test('the form names every wrong setting and keeps what was typed', async ({ page }) => {
  await register(page, { fullName: 'Ada', email: 'ada@example.org', password: 'engines of analysis' });
  const id = await upload(page, 'counting.jsonl');
  await page.goto(`/training/new?dataset=${id}`);
  await expect(page.getByRole('button', { name: 'Start training' })).toBeVisible();
  for (const [label, value, words] of [
    ['Learning rate', '0', /learning rate/i],
    ['Learning rate', 'abc', /learning rate/i],
    ['Epochs', '1000000000', /epochs/i],
  ] as const) {
    await page.goto(`/training/new?dataset=${id}`);
    await page.getByLabel(label, { exact: true }).fill(value);
    await page.getByLabel(label, { exact: true }).blur();
    await expect(page.locator('#plan .missing')).toContainText(words);
    await expect(page.locator('#plan').getByRole('button', { name: 'Correct the settings' })).toBeDisabled();
  }
  await page.goto(`/training/new?dataset=${id}&learning_rate=abc&epochs=0`);
  await expect(page.getByLabel('Learning rate', { exact: true })).toHaveValue('abc');
  await expect(page.getByLabel('Learning rate', { exact: true })).toHaveAttribute('aria-invalid', 'true');
  await expectAccessible(page);
});

test('a job is stopped and kept', async ({ page }) => {
  await register(page, { fullName: 'Bob', email: 'bob@example.org', password: 'a very long walk' });
  const id = await upload(page, 'endless.jsonl');
  const started = await page.request.post('/api/start-training', {
    data: { dataset_ids: [id], hyperparameters: { max_steps: 100000 }, title: 'Endless' },
  });
  expect(started.status()).toBe(202);
  const name = (await started.json()).job_name;
  await page.goto(`/training/${name}`);
  await expect(page.locator('leptos-island .live-reading')).toContainText('Step', { timeout: 60_000 });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Stop and keep' }).click();
  await expect(page.getByRole('link', { name: 'The model so far' })).toBeVisible({ timeout: 90_000 });
  await page.getByRole('link', { name: 'Clone' }).click();
  await expect(page.getByLabel('Title')).toHaveValue('Endless');
});

test('a model directory of the operator is tuned, and a broken one says what is wrong', async ({ page, server }) => {
  await register(page, { fullName: 'Eve', email: 'eve@example.org', password: 'apples and ladders' });
  const id = await upload(page, 'numbers.jsonl');
  // A model in the GPT-2 layout: a small one, made here.
  const started = await page.request.post('/api/start-training', { data: { dataset_ids: [id], hyperparameters: { max_steps: 2 } } });
  const made = await over(page, (await started.json()).job_name);
  const model = await (await page.request.get(`/api/models/${made.model_id}`)).json();
  const whole = join(server.dataDir, 'models', 'small');
  await mkdir(whole, { recursive: true });
  for (const file of model.files as { path: string; url: string }[]) {
    await writeFile(join(whole, file.path), await (await page.request.get(file.url)).body());
  }
  const broken = join(server.dataDir, 'models', 'broken');
  await cp(whole, broken, { recursive: true });
  await rm(join(broken, 'tokenizer.json'));

  await page.goto(`/training/new?dataset=${id}`);
  await expect(page.getByText('broken: tokenizer.json, or vocab.json with merges.txt, is missing. Copy the tokenizer files')).toBeVisible();
  await expect(page.getByRole('radio', { name: /broken/ })).toBeDisabled();
  await page.getByRole('radio', { name: /^small/ }).check();
  await page.getByLabel('Title').fill('From a directory');
  await page.getByText('More settings').click();
  await page.getByLabel('Steps', { exact: true }).fill('6');
  await page.getByLabel('Epochs', { exact: true }).fill('');
  await page.getByLabel('Epochs', { exact: true }).blur();
  await expect(page.locator('#plan')).toContainText('Tune small on numbers.jsonl for 6 steps');
  await page.getByRole('button', { name: 'Start training' }).click();
  await page.getByRole('link', { name: 'Talk to it' }).click({ timeout: 90_000 });
  await page.getByLabel('Beside its base').check();
  await page.getByRole('button', { name: 'Show' }).click();
  await page.getByLabel('Prompt').fill('count 3');
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect(page.locator('.talk-answers footer')).toHaveCount(2);
  await expectAccessible(page);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('sign up, upload, train, read the answer, download', async ({ page }) => {
    await page.goto('/register');
    await page.getByLabel('Full name').fill('Plain Jane');
    await page.getByLabel('E-mail').fill('jane@example.org');
    await page.getByLabel('Password').fill('nothing but forms');
    await page.getByRole('button', { name: 'Create account' }).click();
    await page.goto('/data');
    await page.locator('input[type=file]').first().setInputFiles({ name: 'plain.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(rows) });
    await page.getByRole('button', { name: /^Upload/ }).first().click();
    await expect(async () => {
      await page.goto('/data');
      await expect(page.getByRole('row', { name: /plain/ })).toContainText('ready', { timeout: 1_000 });
    }).toPass();
    await page.goto('/training/new');
    await page.getByLabel('Dataset').selectOption({ index: 1 });
    await page.getByText('More settings').click();
    await page.getByLabel('Steps', { exact: true }).fill('12');
    await page.getByLabel('Epochs', { exact: true }).fill('');
    await page.getByRole('button', { name: 'Check again' }).click();
    await expect(page.locator('#plan')).toContainText('12 steps');
    await page.getByRole('button', { name: 'Start training' }).click();
    await expect(page).toHaveURL(/\/training\/nano-plain/);
    await expect(async () => {
      await page.reload();
      await expect(page.getByRole('link', { name: 'Talk to it' })).toBeVisible({ timeout: 1_000 });
    }).toPass({ timeout: 90_000 });
    await page.getByRole('link', { name: 'Talk to it' }).click();
    await page.getByLabel('Prompt').fill('count 3');
    await page.getByRole('button', { name: 'Ask' }).click();
    await expect(page.locator('.chat .bubble')).toHaveCount(2);
    await expect(page.locator('.chat')).toContainText(/tokens\/s|ended its answer at once/);
  });
});
