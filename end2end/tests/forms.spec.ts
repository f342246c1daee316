/** Every mistake a person can make in the forms: told at the field, nothing typed is lost, the focus goes there. */
import type { Page } from '@playwright/test';
import { expect, test } from '../fixtures';
import { expectAccessible, form, over, register, somebody, submit, upload } from '../helpers';

type Case = { name: string; typed: Record<string, string>; field: string; says: RegExp };

const secrets = ['password', 'old_password', 'new_password'];

/** Sends the form and looks at what comes back. */
async function expectRefused(page: Page, action: string, { typed, field, says }: Case): Promise<void> {
  await submit(page, action, typed);
  const input = form(page, action).locator(`[name="${field}"]`);
  await expect(input).toHaveAttribute('aria-invalid', 'true');
  const message = page.locator(`#${field}-error`);
  await expect(message).toContainText(says);
  expect(await input.getAttribute('aria-describedby')).toContain(`${field}-error`);
  for (const [name, value] of Object.entries(typed)) {
    const kept = form(page, action).locator(`[name="${name}"]`);
    await expect(kept, name).toHaveValue(secrets.includes(name) ? '' : value);
  }
  await expect(page.locator('.notice:focus, [aria-invalid]:focus')).toHaveCount(1);
}

const account = { full_name: 'Ada Lovelace', email: 'ada@example.org', password: 'engines of analysis' };

const REGISTER: Case[] = [
  { name: 'an e-mail without a host', typed: { ...account, email: 'ada@nowhere' }, field: 'email', says: /looks like name@example.com/ },
  { name: 'a short password', typed: { ...account, password: 'short' }, field: 'password', says: /at least 8 characters; this one has 5/ },
  { name: 'a common password', typed: { ...account, password: 'password123' }, field: 'password', says: /most common/ },
  { name: 'the name as password', typed: { ...account, password: 'Ada Lovelace' }, field: 'password', says: /not your name/ },
  { name: 'a name of blanks', typed: { ...account, full_name: '   ' }, field: 'full_name', says: /name/i },
  { name: 'a name that is too long', typed: { ...account, full_name: 'x'.repeat(201) }, field: 'full_name', says: /200/ },
];

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with JavaScript' : 'without JavaScript', () => {
    test.use({ javaScriptEnabled });

    test('register', async ({ page }) => {
      await page.goto('/register');
      for (const one of REGISTER) await test.step(one.name, () => expectRefused(page, '/fn/register', one));
      const taken = await register(page);
      await page.context().clearCookies();
      await page.goto('/register');
      const typed = { ...account, email: taken.email.toUpperCase() };
      await expectRefused(page, '/fn/register', { name: 'in use', typed, field: 'email', says: /exists. Sign in instead/ });
    });

    test('sign in', async ({ page }) => {
      const person = await register(page);
      await page.context().clearCookies();
      const tries = javaScriptEnabled ? [person.email, somebody().email] : [person.email];
      for (const email of tries) {
        await page.goto('/sign-in?next=%2Fdata');
        await submit(page, '/fn/sign_in', { email, password: 'not the password' });
        await expect(page.getByRole('alert')).toContainText('The e-mail address or the password is not right.');
        await expect(page.getByLabel('E-mail')).toHaveValue(email);
        await expect(page.getByLabel('Password')).toHaveValue('');
        await expect(page).toHaveURL(/\/sign-in\?next=%2Fdata/);
      }
    });

    test('settings', async ({ page }) => {
      await register(page);
      await page.goto('/settings');
      const cases: [string, Case][] = [
        ['/fn/set_full_name', { name: 'blanks', typed: { full_name: ' ' }, field: 'full_name', says: /name/i }],
        ['/fn/change_password', { name: 'short', typed: { old_password: 'x', new_password: 'short' }, field: 'new_password', says: /at least 8/ }],
        ['/fn/change_password', { name: 'wrong', typed: { old_password: 'not the present one', new_password: 'a whole new sentence' }, field: 'old_password', says: /not your present password/ }],
      ];
      for (const [action, one] of cases) await test.step(one.name, () => expectRefused(page, action, one));
    });
  });
}

/** Field, its label, what is typed, what is said. */
const SETTINGS: [string, string, RegExp][] = [
  ['learning_rate', '0', /above 0/],
  ['learning_rate', 'abc', /number/],
  ['learning_rate', '-1', /above 0/],
  ['epochs', '1000000000', /at most/],
  ['max_sequence_length', '100000', /at most|tokens at once/],
  ['validation_share', '1.5', /from 0 to 0.5/],
  ['batch_size', '0', /from 1 to 4096/],
  ['early_stopping_patience', 'x', /whole number/],
];

test('new training: the card says what is wrong as it is typed, and the field shows it', async ({ page }) => {
  await register(page);
  const id = await upload(page, 'settings.jsonl');
  await page.goto(`/training/new?dataset=${id}`);
  await page.getByText('More settings').click();
  for (const [field, value, says] of SETTINGS) {
    await test.step(`${field} ${value}`, async () => {
      const input = page.locator(`#${field}`);
      const before = await input.inputValue();
      await input.fill(value);
      await input.blur();
      await expect(page.locator(`#plan-${field}`)).toContainText(says);
      await expect(input).toHaveAttribute('aria-invalid', 'true');
      await expect(page.locator(`#${field}-error`)).toContainText(says);
      await expect(page.getByRole('button', { name: 'Correct the settings' })).toBeDisabled();
      await page.locator(`#plan-${field} a`).click();
      await expect(input).toBeFocused();
      await expect(input).toHaveValue(value);
      await input.fill(before);
      await input.blur();
      await expect(page.getByRole('button', { name: 'Start training' })).toBeVisible();
      await expect(input).not.toHaveAttribute('aria-invalid');
      await expect(page.locator(`#${field}-error`)).toHaveCount(0);
    });
  }
  await expectAccessible(page);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('new training: all mistakes at once, at their fields', async ({ page }) => {
    await register(page);
    const id = await upload(page, 'plain.jsonl');
    await page.goto(`/training/new?dataset=${id}`);
    await page.getByText('More settings').click();
    for (const [field, value] of SETTINGS.slice(1)) await page.locator(`#${field}`).fill(value);
    await page.getByRole('button', { name: 'Start training' }).click();
    const wrong = Object.fromEntries(SETTINGS.map(([field, value, says]) => [field, { value, says }]));
    delete wrong.max_sequence_length; // is compared with the model once all else is right
    for (const [field, { value, says }] of Object.entries(wrong)) {
      await expect(page.locator(`#${field}`), field).toHaveValue(value);
      await expect(page.locator(`#${field}`), field).toHaveAttribute('aria-invalid', 'true');
      await expect(page.locator(`#${field}-error`)).toContainText(says);
    }
    await expect(page.locator('.notice[autofocus]')).toContainText('Please check the form');
    await page.goto('/training/new');
    await page.getByLabel('Dataset').selectOption('');
    await page.getByRole('button', { name: 'Check again' }).click();
    await expect(page.locator('#dataset-error')).toContainText('Choose a dataset.');
  });
});

test('new training: LoRA of rank 0', async ({ page }) => {
  await register(page);
  const id = await upload(page, 'lora.jsonl');
  const started = await page.request.post('/api/start-training', { data: { dataset_ids: [id], hyperparameters: { max_steps: 2 } } });
  const { model_id } = await over(page, (await started.json()).job_name);
  await page.goto(`/training/new?dataset=${id}&base_model=model:${model_id}&lora_r=0`);
  await expect(page.locator('#lora_r')).toHaveValue('0');
  await expect(page.locator('#lora_r')).toHaveAttribute('aria-invalid', 'true');
  await expect(page.locator('#lora_r-error')).toContainText(/from 1 to 1024/);

  await page.goto(`/models/${model_id}`);
  const name = 'y'.repeat(201);
  await expectRefused(page, '/fn/rename_model', { name: 'too long', typed: { name }, field: 'name', says: /200/ });
  await expectRefused(page, '/fn/rename_model', { name: 'blanks', typed: { name: ' ' }, field: 'name', says: /name/i });
});

test('columns: none chosen, the same twice', async ({ page }) => {
  await register(page);
  const table = `number,subject,team\n${Array.from({ length: 60 }, (_, i) => `${i},words ${i},team ${i % 7}`).join('\n')}\n`;
  const answer = await page.request.post('/api/upload', { multipart: { files: { name: 'tickets.csv', mimeType: 'text/csv', buffer: Buffer.from(table) } } });
  await page.goto(`/data/${(await answer.json()).files[0].dataset_id}`);
  for (const roles of [['ignore', 'ignore', 'ignore'], ['ignore', 'completion', 'completion'], ['prompt', 'system', 'system']]) {
    await test.step(roles.join(', '), async () => {
      const selects = form(page, '/fn/map_columns').locator('select');
      for (const [at, role] of roles.entries()) await selects.nth(at).selectOption(role);
      await page.getByRole('button', { name: 'Confirm the roles' }).click();
      await expect(page.locator('.notice:focus')).toContainText("The columns can't be used like this");
      for (const [at, role] of roles.entries()) await expect(selects.nth(at)).toHaveValue(role);
    });
  }
});

test('a dataset keeps its name when the new one is none, and stays while a job uses it', async ({ page }) => {
  await register(page);
  const id = await upload(page, 'used.jsonl');
  await page.goto(`/data/${id}`);
  await page.getByRole('button', { name: 'Rename' }).click();
  for (const [name, says] of [[' ', /name/i], ['z'.repeat(256), /255/]] as const) {
    await submit(page, '/fn/rename_dataset', { name });
    const dialog = page.getByRole('dialog', { name: 'Rename dataset' });
    await expect(dialog.locator('#name-error')).toContainText(says);
    await expect(dialog.getByLabel('Name')).toHaveValue(name);
    await expect(dialog.getByLabel('Name')).toBeFocused();
  }
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('used.jsonl');
  const started = await page.request.post('/api/start-training', { data: { dataset_ids: [id], hyperparameters: { max_steps: 2 } } });
  const job = (await started.json()).job_name;
  await over(page, job);
  await page.goto(`/data/${id}`);
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await expect(page.getByText(`it is used by ${job}`)).toBeVisible();
  await expect(page.getByRole('button', { name: 'Delete dataset' })).toHaveCount(0);
});
