/** Steps that many tests take. They go the way that a person goes: through the pages. */
import AxeBuilder from '@axe-core/playwright';
import { type Locator, type Page, expect } from '@playwright/test';

export type Person = { fullName: string; email: string; password: string };

let people = 0;

/** Somebody whom this server does not know yet. */
export function somebody(overrides: Partial<Person> = {}): Person {
  people += 1;
  return {
    fullName: `Test Person ${people}`,
    email: `person-${process.pid}-${people}@example.org`,
    password: 'correct horse battery staple',
    ...overrides,
  };
}

/** Registers through the form and is signed in afterwards. */
export async function register(page: Page, overrides: Partial<Person> = {}): Promise<Person> {
  const person = somebody(overrides);
  await page.goto('/register');
  await submit(page, '/fn/register', { full_name: person.fullName, email: person.email, password: person.password });
  await expect(page).not.toHaveURL(/\/register/);
  return person;
}

export async function signIn(page: Page, person: Person): Promise<void> {
  await page.goto('/sign-in');
  await submit(page, '/fn/sign_in', { email: person.email, password: person.password });
  await expect(page).not.toHaveURL(/\/sign-in/);
}

/** The form of one server function on this page. */
export function form(page: Page, action: string): Locator {
  return page.locator(`form[action="${action}"]`);
}

/** Fills the named fields of a form and presses its button. */
export async function submit(page: Page, action: string, fields: Record<string, string>): Promise<void> {
  const target = form(page, action);
  for (const [name, value] of Object.entries(fields)) {
    await target.locator(`[name="${name}"]`).fill(value);
  }
  await target.locator('button[type="submit"], button:not([type])').first().click();
}

/** No violation of WCAG 2.2 A and AA, nor of axe's best practices. */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n${nodes.map((node) => `  ${node.target.join(' ')}: ${node.html}`).join('\n')}`,
  );
  expect(found, 'accessibility').toEqual([]);
}

/** Eighty rows that a small model learns at once. */
export const rows = Array.from({ length: 80 }, (_, i) => JSON.stringify({ prompt: `count ${i}`, completion: `${i + 1}` })).join('\n');

/** Uploads a small dataset and waits until it is checked; returns its id. */
export async function upload(page: Page, name: string): Promise<string> {
  const answer = await page.request.post('/api/upload', {
    multipart: { files: { name, mimeType: 'application/jsonl', buffer: Buffer.from(rows) } },
  });
  const id = (await answer.json()).files[0].dataset_id;
  await expect(async () => {
    expect((await (await page.request.get(`/api/datasets/${id}`)).json()).state).toBe('ready');
  }).toPass();
  return id;
}

/** Waits for the end of a job; answers it as the API does. */
export async function over(page: Page, job: string): Promise<{ status: string; model_id: string }> {
  let answer: { status: string; model_id: string; end_time: string | null } | undefined;
  await expect(async () => {
    answer = await (await page.request.get(`/api/training-job/${job}`)).json();
    expect(answer?.end_time).toBeTruthy();
  }).toPass({ timeout: 90_000 });
  if (!answer) throw new Error('unreachable: it is over');
  return answer;
}
