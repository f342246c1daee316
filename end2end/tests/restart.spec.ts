/** The server dies in the middle, and people go back: nothing is lost, doubled, started twice or shown to others. */
import type { Page } from '@playwright/test';
import { expect, test } from '../fixtures';
import { over, register, upload } from '../helpers';

type Seen = { kind: string; id: number };

/** Notes the number of every event that the page's stream takes in. */
async function listen(page: Page): Promise<() => Promise<Seen[]>> {
  await page.addInitScript(() => {
    const seen: { kind: string; id: number }[] = [];
    Object.assign(window, { seen });
    const Plain = window.EventSource;
    window.EventSource = class extends Plain {
      constructor(url: string | URL) {
        super(url);
        for (const kind of ['history', 'metric', 'log', 'sample', 'state', 'batch']) {
          this.addEventListener(kind, (event) => seen.push({ kind, id: Number((event as MessageEvent).lastEventId) }));
        }
      }
    };
  });
  return () => page.evaluate(() => (window as unknown as { seen: { kind: string; id: number }[] }).seen);
}

/** All events of a job that is over, as the server keeps them. */
async function kept(page: Page, job: string): Promise<{ seq: number; kind: string; line?: string; step?: number }[]> {
  const stream = await (await page.request.get(`/-/jobs/${job}/events?after=0`)).text();
  return [...stream.matchAll(/^data: ?(\{.*"seq".*\})$/gm)].map((match) => JSON.parse(match[1] ?? ''));
}

test('a server that is killed while a job trains comes back to the open page', async ({ page, server, problems }) => {
  test.setTimeout(300_000);
  problems.allow(/ERR_|Failed to load resource|Failed to fetch|net::/);
  const events = await listen(page);
  await register(page);
  const id = await upload(page, 'long.jsonl');
  const started = await page.request.post('/api/start-training', {
    data: { dataset_ids: [id], hyperparameters: { max_steps: 400, checkpoint_steps: 20, batch_size: 4, max_sequence_length: 32 }, title: 'Survivor' },
  });
  const job = (await started.json()).job_name;
  await page.goto(`/training/${job}`);
  const log = page.locator('.log-live');
  await expect(log).toContainText('Checkpoint written at step 20.', { timeout: 90_000 });

  const restarted = server.restart('SIGKILL');
  await expect(page.getByText('The connection broke off. Trying again; nothing is lost.')).toBeVisible();
  await restarted;
  await expect(page.getByText('The connection broke off.')).toBeHidden({ timeout: 30_000 });
  await expect(page.getByRole('link', { name: 'Talk to it' })).toBeVisible({ timeout: 200_000 });
  expect((await over(page, job)).status).toBe('Completed');

  const all = await kept(page, job);
  expect(all.map((event) => event.seq)).toEqual(all.map((_, at) => at + 1));
  // The page began with everything up to a number, and then took in each one after it, once and in order.
  const [history, ...rest] = await events();
  expect(history?.kind).toBe('history');
  expect(rest.map((event) => event.id)).toEqual(all.map((event) => event.seq).filter((seq) => seq > (history?.id ?? 0)));
  const lines = all.filter((event) => event.kind === 'log').map((event) => event.line);
  expect((await log.innerText()).split('\n')).toEqual(lines.slice(-500));
  const steps = all.filter((event) => event.kind === 'metric' && 'name' in event && event.name === 'train_loss');
  expect(steps.map((event) => event.step)).toEqual([...new Set(steps.map((event) => event.step))].sort((a, b) => Number(a) - Number(b)));
  expect((await (await page.request.get('/api/training-jobs')).json()).training_jobs).toHaveLength(1);
});

test('a stopped job goes on after a press of its button', async ({ page }) => {
  await register(page);
  const id = await upload(page, 'paused.jsonl');
  const started = await page.request.post('/api/start-training', {
    data: { dataset_ids: [id], hyperparameters: { max_steps: 100000, checkpoint_steps: 5, batch_size: 4 } },
  });
  const job = (await started.json()).job_name;
  await page.goto(`/training/${job}`);
  await expect(page.locator('.log-live')).toContainText('Checkpoint written', { timeout: 60_000 });
  await expect(page.getByRole('button', { name: 'Resume' })).toHaveCount(0);
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Stop and keep' }).click();
  await expect(page.getByText(/It can go on from step/)).toBeVisible({ timeout: 60_000 });
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect(page.locator('.log-live')).toContainText('Going on from the checkpoint of step', { timeout: 60_000 });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.getByRole('button', { name: 'Stop and discard' }).click();
  await expect(page.locator('#job-head')).toContainText('stopped', { timeout: 60_000 });
  await expect(page.getByRole('button', { name: 'Resume' })).toHaveCount(0);
});

test('going back to the form and pressing again starts nothing new', async ({ page }) => {
  await register(page);
  const id = await upload(page, 'twice.jsonl');
  await page.goto(`/training/new?dataset=${id}&max_steps=2`);
  await page.getByRole('button', { name: 'Start training' }).click();
  await expect(page).toHaveURL(/\/training\/nano-twice/);
  const job = page.url();
  await page.goBack();
  await page.getByRole('button', { name: 'Start training' }).click();
  await expect(page).toHaveURL(job);
  await expect(page.getByText('This form has started this job already.')).toBeVisible();
  expect((await (await page.request.get('/api/training-jobs')).json()).training_jobs).toHaveLength(1);
  // Changed, it is another job.
  await page.goBack();
  await page.getByLabel('Title').fill('Another');
  await page.getByRole('button', { name: 'Start training' }).click();
  await expect(page).toHaveURL(/\/training\/another/);
  await over(page, page.url().split('/').pop() ?? '');
});

test('after signing out the back button shows nothing of before', async ({ page }) => {
  const person = await register(page);
  await upload(page, 'secret.jsonl');
  await page.goto('/data');
  await expect(page.getByText('secret.jsonl')).toBeVisible();
  await page.goto('/settings');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  for (let pages = 0; pages < 2; pages += 1) {
    await page.goBack();
    await expect(page).toHaveURL(/\/sign-in/);
    await expect(page.locator('body')).not.toContainText(person.email);
    await expect(page.locator('body')).not.toContainText('secret.jsonl');
  }
});
