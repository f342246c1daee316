/** Every page, light and dark, signed in and out, errors too: accessible, and none wider than a phone. */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, test } from '../fixtures';
import { expectAccessible, over, register, upload } from '../helpers';

async function expectSound(page: Page, path: string, status = 200): Promise<void> {
  await test.step(path, async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      expect((await page.goto(path))?.status(), path).toBe(status);
      await expectAccessible(page);
    }
    await page.setViewportSize({ width: 360, height: 800 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(over, `${path} at 360 px`).toBeLessThanOrEqual(0);
    await expectAccessible(page);
    await page.setViewportSize({ width: 1280, height: 720 });
  });
}

const AREAS = [
  '/', '/data', '/training', '/training/new?key=1', '/models', '/models/jumpstart',
  '/models/jumpstart/meta-textgeneration-llama-2-7b', '/playground', '/costs', '/settings', '/api/docs',
];

test("signed out, and the first account's own page", async ({ page, problems }) => {
  problems.allow(/404/);
  await expectSound(page, '/register');
  await register(page);
  // Of an administrator only: the first account is one.
  await expectSound(page, '/settings/aws');
  await page.context().clearCookies();
  for (const path of ['/sign-in', '/register']) await expectSound(page, path);
  await expectSound(page, '/nowhere', 404);
});

test('with nothing in them', async ({ page, problems }) => {
  problems.allow(/40[04]/);
  await register(page);
  for (const path of AREAS) await expectSound(page, path);
  for (const path of ['/nowhere', '/settings/aws', '/training/nothing', '/data/nothing', '/models/nothing']) await expectSound(page, path, 404);
  await expectSound(page, '/data/nothing?tab=nonsense', 400);
});

test('with something in them, and a job in each state', async ({ page, server }) => {
  test.setTimeout(300_000);
  await register(page);
  const id = await upload(page, `${'a-long-name-'.repeat(12)}.jsonl`);
  const start = async (title: string, max_steps: number) => {
    const data = { dataset_ids: [id], hyperparameters: { max_steps, checkpoint_steps: 5 }, title };
    return (await (await page.request.post('/api/start-training', { data })).json()).job_name as string;
  };
  const completed = await start('Completed', 4);
  const { model_id } = await over(page, completed);
  const training = await start('Training', 100_000);
  const queued = await start('Queued', 4);
  await expect(async () => {
    expect((await (await page.request.get(`/api/training-job/${training}`)).json()).step).toBeGreaterThan(10);
  }).toPass();
  for (const job of [training, queued]) await expectSound(page, `/training/${job}`);
  // The data of the one that waits are away when its turn comes.
  const objects = join(server.dataDir, 'objects');
  await rename(objects, `${objects}-away`);
  await page.request.post(`/api/stop-training-job/${training}`, { data: { keep: false } });
  await over(page, training);
  expect((await over(page, queued)).status).toBe('Failed');
  await rename(`${objects}-away`, objects);
  for (const job of [training, queued, completed]) await expectSound(page, `/training/${job}`);
  for (const tab of ['settings', 'data', 'files']) await expectSound(page, `/training/${completed}?tab=${tab}`);
  for (const path of [...AREAS, `/data/${id}`, `/models/${model_id}`, `/playground?model=${model_id}`]) await expectSound(page, path);
  for (const tab of ['findings', 'statistics', 'versions', 'used_by']) await expectSound(page, `/data/${id}?tab=${tab}`);
});
