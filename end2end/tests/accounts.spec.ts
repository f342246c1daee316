/** Accounts: every mistake a person can make in the forms, sessions, and two people who do not see each other. */
import { expect, secondPerson, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';

const ada = { fullName: 'Ada Lovelace', email: 'ada@example.org', password: 'engines of analysis' };

test('a fresh server leads to the first account, and names each mistake without losing what was typed', async ({ page }) => {
  await page.goto('/');
  await expect(page).toHaveURL(/\/register$/);
  await expectAccessible(page);
  await page.getByLabel('Full name').fill('Ada Lovelace');
  await page.getByLabel('E-mail').fill('ada@nowhere');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('alert')).toContainText('An e-mail address looks like name@example.com.');
  await expect(page.getByRole('alert')).toContainText('A password has at least 8 characters');
  await expect(page.getByLabel('Full name')).toHaveValue('Ada Lovelace');
  await expect(page.getByLabel('E-mail')).toHaveValue('ada@nowhere');
  await expectAccessible(page);
  await page.getByLabel('E-mail').fill(ada.email);
  await page.getByLabel('Password').fill('password123');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('alert')).toContainText('most common');
});

test('the first account is the administrator, and comes back after signing out and in', async ({ page }) => {
  await register(page, ada);
  await page.goto('/settings');
  await expect(page.locator('.sidebar')).toContainText('Admin');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page).toHaveURL(/\/sign-in/);
  await expectAccessible(page);

  await page.goto('/training?x=1');
  await expect(page).toHaveURL(/\/sign-in\?next=/);
  await page.getByLabel('E-mail').fill(ada.email);
  await page.getByLabel('Password').fill('wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('not right');
  await page.getByLabel('Password').fill(ada.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(/\/training\?x=1$/);
});

test('the address of an account can be taken once', async ({ page }) => {
  await page.goto('/register');
  await page.getByLabel('Full name').fill('Another Ada');
  await page.getByLabel('E-mail').fill('ADA@example.org');
  await page.getByLabel('Password').fill('a long password');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('alert')).toContainText('An account with this e-mail address exists');
});

test('two people see nothing of each other', async ({ page, browser, server, problems }) => {
  problems.allow(/404/);
  await register(page, { fullName: 'Grace Hopper', email: 'grace@example.org', password: 'nanoseconds of wire' });
  const upload = await page.request.post('/api/upload', {
    multipart: { files: { name: 'mine.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from('{"prompt":"a","completion":"b"}\n') } },
  });
  expect(upload.ok()).toBe(true);
  const mine = (await (await page.request.get('/api/datasets')).json()).datasets[0];

  const other = await secondPerson(browser, server, problems);
  await register(other, { fullName: 'Alan Turing', email: 'alan@example.org', password: 'imitation of games' });
  await other.goto('/data');
  await expect(other.locator('main')).not.toContainText('mine.jsonl');
  for (const path of [`/api/datasets/${mine.id}`, `/api/datasets/${mine.id}/download`, `/data/${mine.id}`]) {
    expect((await other.request.get(path)).status(), path).toBe(404);
  }
  expect((await other.request.delete(`/api/datasets/${mine.id}`)).status()).toBe(404);
  await other.goto(`/data/${mine.id}`);
  await expect(other.getByRole('heading', { level: 1 })).toContainText('Not found');
  await other.context().close();
});

test('a session that is ended elsewhere is refused at once', async ({ page, browser, server, problems }) => {
  problems.allow(/401/);
  await register(page, { fullName: 'Kurt', email: 'kurt@example.org', password: 'incompleteness here' });
  const other = await secondPerson(browser, server, problems);
  await other.goto('/sign-in');
  await other.getByLabel('E-mail').fill('kurt@example.org');
  await other.getByLabel('Password').fill('incompleteness here');
  await other.getByRole('button', { name: 'Sign in' }).click();
  await expect(other).toHaveURL(/\/$/);
  await page.goto('/settings');
  await page.getByRole('button', { name: 'End', exact: true }).click();
  await expect(page.getByText('The session was ended.')).toBeVisible();
  expect((await other.request.get('/api/auth/me')).status()).toBe(401);
  await other.goto('/data');
  await expect(other).toHaveURL(/\/sign-in\?next=%2Fdata$/);
  await other.context().close();
});

test('name, password and theme are changed in the settings', async ({ page }) => {
  await register(page, { fullName: 'Emmy', email: 'emmy@example.org', password: 'symmetry and laws' });
  await page.goto('/settings');
  await page.getByLabel('Full name').fill('');
  await page.getByLabel('Full name').fill('Emmy Noether');
  await page.getByRole('button', { name: 'Save name' }).click();
  await expect(page.locator('.sidebar')).toContainText('Emmy Noether');
  await page.getByLabel('Present password').fill('not it');
  await page.getByLabel('New password').fill('conservation laws');
  await page.getByRole('button', { name: 'Change password' }).click();
  await expect(page.getByRole('alert')).toContainText('This is not your present password.');
  await page.getByRole('button', { name: 'Dark', exact: true }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expectAccessible(page);
});
