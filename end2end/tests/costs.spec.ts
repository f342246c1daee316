/** The page of costs where nothing has cost anything yet: what it says, and the budgets that an administrator sets. */
import { expect, test } from '../fixtures';
import { expectAccessible, register } from '../helpers';

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with JavaScript' : 'without JavaScript', () => {
    // A server for each: only the first account of one is its administrator.
    test.use({ javaScriptEnabled, serverEnv: { MAX_PARALLEL_JOBS: javaScriptEnabled ? '1' : '2' } });

    test('a budget is set, corrected and lifted', async ({ page }) => {
      const person = await register(page);
      await page.goto('/costs');
      await expect(page.getByText('Jobs on this machine cost nothing. Nothing runs on AWS yet')).toBeVisible();
      const field = page.getByLabel(`Budget of ${person.email}`);
      const save = page.getByRole('row', { name: person.email }).getByRole('button', { name: 'Save' });

      await field.fill('a lot');
      await save.click();
      await expect(field).toHaveValue('a lot');
      await expect(field).toHaveAttribute('aria-invalid', 'true');
      await expect(field).toBeFocused();
      if (javaScriptEnabled) await expectAccessible(page);

      await field.fill('$1,250.50');
      await save.click();
      await expect(page.getByText('The budget is $1,250.50 a month now.')).toBeVisible();
      await expect(field).toHaveValue('1250.5');
      await page.getByRole('link', { name: 'Mine' }).click();
      await expect(page.getByText('$0.00 of $1,250.50')).toBeVisible();

      await page.goto('/costs');
      await field.fill('');
      await save.click();
      await expect(page.getByText('There is no budget any more')).toBeVisible();
    });
  });
}

test('the lines of a month as CSV', async ({ page }) => {
  await register(page);
  await page.goto('/costs');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download CSV' }).click()]);
  expect(file.suggestedFilename()).toMatch(/^costs-\d{4}-\d{2}\.csv$/);
});
