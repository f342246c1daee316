/** JumpStart's catalogue as a person goes through it: search while typing, look at a model, accept its licence. */
import { expect, test } from '../fixtures';
import { form, register } from '../helpers';

test('a model is found and its licence accepted', async ({ page }) => {
  await register(page);
  await page.goto('/models');
  await page.getByRole('link', { name: 'JumpStart models' }).click();
  const rows = page.getByRole('table', { name: 'JumpStart models' }).locator('tbody tr');
  await expect(rows).toHaveCount(4);
  await expect(page.getByText('SageMaker is not set up')).toBeVisible();

  // The table follows the words, without a press of the button.
  await page.getByLabel('Search', { exact: true }).fill('llama 7b');
  await expect(rows).toHaveCount(1);
  await page.getByLabel('Search', { exact: true }).fill('nothing like it');
  await expect(page.getByText('No model matches')).toBeVisible();
  await page.getByLabel('Search', { exact: true }).fill('');
  await page.getByLabel('Task').selectOption('text2text-generation');
  await expect(rows).toHaveCount(1);
  await page.getByLabel('Task').selectOption('');
  await expect(rows).toHaveCount(4);

  await page.getByRole('link', { name: 'Llama 2 7B' }).click();
  await expect(page.getByRole('link', { name: 'Tune this model' })).toHaveCount(0);
  await form(page, '/fn/accept_licence').getByRole('button', { name: 'Accept licence' }).click();
  await expect(page.getByText('You accepted this licence')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Tune this model' })).toHaveAttribute(
    'href',
    '/training/new?base=jumpstart:meta-textgeneration-llama-2-7b',
  );
});
