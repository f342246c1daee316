/** The server answers, and a person who is not signed in gets a page that works. */
import { expect, test } from '../fixtures';
import { expectAccessible } from '../helpers';

test('the health check answers', async ({ request }) => {
  const response = await request.get('/api/health');
  expect(response.status()).toBe(200);
});

test('the sign-in page is whole', async ({ page }) => {
  await page.goto('/sign-in');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expectAccessible(page);
});
