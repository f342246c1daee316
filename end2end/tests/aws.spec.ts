/** On AWS, by the browser: data in S3, the three ways to train, a model hosted, asked and given back, and the bill. */
import { mkdir } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Page } from '@playwright/test';
import { python } from '../aws';
import { expect, test } from '../fixtures';
import { expectAccessible, form, register, rows } from '../helpers';

test.use({ serverEnv: async ({ aws }, use) => use(aws.environment()) });
// Containers really run here, PyTorch in one of them: minutes, where the machine is busy.
test.setTimeout(300_000);

/** Puts a file into the uploader's field, and waits until it is checked. */
async function addData(page: Page, name: string): Promise<void> {
  await page.goto('/data');
  await page.locator('input[type="file"]').first().setInputFiles({ name, mimeType: 'application/jsonl', buffer: Buffer.from(rows) });
  await expect(async () => {
    const { datasets } = await (await page.request.get('/api/datasets')).json();
    expect(datasets[0].state).toBe('ready');
  }).toPass();
  // The page goes to the dataset by itself, which would break into whatever came next.
  await expect(page).toHaveURL(/\/data\/\w+/);
}

/** Chooses a machine on the training form, presses start, and answers the job's name. */
async function start(page: Page, machine: string): Promise<string> {
  await page.getByLabel('Machine', { exact: true }).selectOption(machine);
  await page.getByLabel('At most').fill('10');
  await page.getByLabel('At most').blur();
  await expect(page.locator('#plan')).toContainText(machine);
  await expect(page.locator('#plan')).toContainText('it is stopped after 10 h');
  const doubts = page.locator('#plan').getByLabel('I have read this and go on');
  if (await doubts.isVisible()) await doubts.check();
  await expectAccessible(page);
  // A double click starts one job.
  await page.getByRole('button', { name: 'Start training' }).dblclick();
  await expect(page).toHaveURL(/\/training\/(?!new)[^/?]+$/);
  return page.url().split('/').pop() ?? '';
}

async function completed(page: Page): Promise<void> {
  await expect(page.locator('#job-head')).toContainText('completed', { timeout: 200_000 });
}

test('upload, JumpStart, a licence, live training, an endpoint, an answer, the bill', async ({ page, aws }) => {
  await aws.placeJumpStartScript();
  await register(page);
  await addData(page, 'counting.jsonl');
  expect((await aws.keys()).some((key) => key.startsWith('team/users/') && key.includes('/datasets/'))).toBe(true);

  await page.goto('/models');
  await page.getByRole('link', { name: 'JumpStart models' }).click();
  await page.getByLabel('Search', { exact: true }).fill('llama 7b');
  await page.getByRole('link', { name: 'Llama 2 7B' }).click();
  await form(page, '/fn/accept_licence').getByRole('button', { name: 'Accept licence' }).click();
  await page.getByRole('link', { name: 'Tune this model' }).click();

  await expect(page.getByRole('radio', { name: /Llama 2 7B/ })).toBeChecked();
  await page.getByLabel('Epoch', { exact: true }).fill('6');
  await aws.control('clock', { auto: 0 });
  const job = await start(page, 'ml.g5.12xlarge');
  expect(job).toContain('llama-2-7b');

  // AWS's clock stands: the page says what it waits for, and follows without a reload.
  await expect(page.locator('#job-head')).toContainText('ml.g5.12xlarge');
  await expect(async () => expect(await aws.sent('CreateTrainingJob')).toHaveLength(1)).toPass();
  await aws.control('clock', { until: { job, status: 'Training', timeout: 60 } });
  await expect(page.locator('leptos-island .log-live')).toContainText('train_epoch_loss', { timeout: 60_000 });
  await expectAccessible(page);
  await aws.control('clock', { auto: 100 });
  await completed(page);
  const request = (await aws.sent('CreateTrainingJob'))[0] as { HyperParameters: Record<string, string>; Environment: Record<string, string> };
  expect(request.HyperParameters.epoch).toBe('"6"');
  expect(request.Environment.accept_eula).toBe('true');
  await expectAccessible(page);

  // Hosted: pressed twice, it is one endpoint.
  await page.getByRole('link', { name: 'Deploy' }).click();
  await expectAccessible(page);
  await page.getByLabel('Machine').selectOption({ index: 0 });
  await page.getByRole('button', { name: 'Deploy' }).dblclick();
  await expect(page).toHaveURL(/\/endpoints\/[^/]+$/);
  const endpoint = page.url();
  await expect(async () => expect(await aws.sent('CreateEndpoint')).toHaveLength(1)).toPass();
  const { EndpointName } = (await aws.sent('CreateEndpoint'))[0] as { EndpointName: string };
  await aws.control('endpoints', [{ name: EndpointName, creating_seconds: 120, text: 'After seven comes eight.' }]);
  await page.getByRole('link', { name: 'Talk to it' }).click({ timeout: 60_000 });
  await page.getByLabel('Prompt').fill('count 7');
  await page.getByRole('button', { name: 'Ask' }).click();
  await expect(page.locator('.talk-answers .says').first()).toContainText('After seven comes eight.');

  await page.goto('/costs');
  await expect(page.getByText(job).or(page.getByText('counting')).first()).toBeVisible();
  await expectAccessible(page);

  await page.goto(endpoint);
  await page.getByRole('button', { name: 'Delete' }).first().click();
  await page.getByRole('button', { name: 'Delete endpoint' }).click();
  await expect(page.locator('#endpoint')).toContainText('deleted', { timeout: 60_000 });
  for (const operation of ['DeleteEndpoint', 'DeleteEndpointConfig', 'DeleteModel']) {
    // Said once or more: all calls may be said twice.
    await expect(async () => expect(await aws.sent(operation)).not.toEqual([])).toPass();
  }
  await page.goto('/costs');
  await expectAccessible(page);
});

test('our own image trains nano on SageMaker, and going back and pressing again starts nothing', async ({ page, aws }) => {
  await register(page);
  await addData(page, 'counting.jsonl');
  await page.goto('/training/new');
  await page.getByText('More settings').click();
  await page.getByLabel('Steps', { exact: true }).fill('6');
  await page.getByRole('radio', { name: /our own image/ }).check();
  const before = (await aws.sent('CreateTrainingJob')).length;
  const job = await start(page, 'ml.m5.xlarge');
  await completed(page);
  await expect(page.locator('leptos-island .live-plot')).toBeVisible();

  await page.goBack();
  const again = page.getByRole('button', { name: 'Start training' });
  await expect(again).toBeEnabled();
  await again.click();
  await expect(page).toHaveURL(new RegExp(`/training/${job}$`));
  expect(await aws.sent('CreateTrainingJob')).toHaveLength(before + 1);
  const request = (await aws.sent('CreateTrainingJob')).pop() as { AlgorithmSpecification: { TrainingImage: string } };
  expect(request.AlgorithmSpecification.TrainingImage).toMatch(/\/llm-tuner:1$/);
});

/** A GPT-2 made by `transformers`, as small as it gets. */
const MAKE = `
import sys, torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast
torch.manual_seed(11)
config = GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
GPT2LMHeadModel(config).save_pretrained(sys.argv[1])
bpe = ByteLevelBPETokenizer()
bpe.train_from_iterator([f"count {i}: {i + 1}" for i in range(40)], vocab_size=300,
    special_tokens=["<|endoftext|>"], show_progress=False)
GPT2TokenizerFast(tokenizer_object=bpe._tokenizer).save_pretrained(sys.argv[1])
`;

test('a Hugging Face container tunes a model of the operator, without JavaScript on our side', async ({ page, browser, server, aws }) => {
  const small = join(server.dataDir, 'models', 'small');
  await mkdir(small, { recursive: true });
  await promisify(execFile)(python, ['-c', MAKE, small]);
  await register(page);
  await addData(page, 'counting.jsonl');
  const plain = await browser.newContext({
    baseURL: server.url,
    javaScriptEnabled: false,
    storageState: await page.context().storageState(),
  });
  const bare = await plain.newPage();
  await bare.goto('/training/new');
  await bare.getByRole('radio', { name: /^small/ }).check();
  await bare.getByRole('radio', { name: /Hugging Face container/ }).check();
  await bare.getByText('More settings').click();
  await bare.getByLabel('Steps', { exact: true }).fill('6');
  await bare.getByRole('button', { name: 'Check again' }).click();
  // The card says what is missing; the choice so far stays.
  await expect(bare.getByRole('radio', { name: /Hugging Face container/ })).toBeChecked();
  await expect(bare.locator('#plan')).toContainText('Not ready');
  await bare.getByLabel('Machine', { exact: true }).selectOption('ml.g5.2xlarge');
  // AWS's clock runs a hundred times as fast, and PyTorch does not.
  await bare.getByLabel('At most').fill('100');
  await bare.getByRole('button', { name: 'Check again' }).click();
  await expect(bare.locator('#plan')).toContainText('Hugging Face container');
  const doubts = bare.locator('#plan').getByLabel('I have read this and go on');
  if (await doubts.isVisible()) await doubts.check();
  await bare.getByRole('button', { name: 'Start training' }).click();
  await expect(bare).toHaveURL(/\/training\/(?!new)[^/?]+$/);
  await page.goto(bare.url());
  await plain.close();
  await completed(page);
  await expect(page.locator('leptos-island .live-plot')).toBeVisible();
  const request = (await aws.sent('CreateTrainingJob')).pop() as { HyperParameters: Record<string, string> };
  expect(request.HyperParameters.sagemaker_program).toBe('"finetune.py"');
});

test('while AWS is silent the pages answer, say so, and go on afterwards', async ({ page, aws }) => {
  await register(page);
  await addData(page, 'counting.jsonl');
  await page.goto('/training/new');
  await page.getByText('More settings').click();
  await page.getByLabel('Steps', { exact: true }).fill('4');
  await page.getByRole('radio', { name: /our own image/ }).check();
  await aws.control('clock', { auto: 0 });
  await start(page, 'ml.m5.xlarge');
  await expect(page.locator('#job-head')).toContainText('ml.m5.xlarge');
  await aws.control('faults', [{ op: 'DescribeTrainingJob', times: 1000, hang: true }]);
  await expect(page.locator('#job-head')).toContainText('AWS does not answer', { timeout: 90_000 });
  const begun = Date.now();
  for (const path of [page.url(), '/training', '/costs', '/models']) await page.goto(path);
  expect(Date.now() - begun, 'four pages').toBeLessThan(8_000);
  await page.goto('/training');
  await page.getByRole('table').getByRole('link').first().click();
  await aws.control('faults', undefined, 'DELETE');
  await aws.control('clock', { auto: 100 });
  await completed(page);
});
