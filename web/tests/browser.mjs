// Headless Chromium with WebGPU on its software adapter, and pages in it.

import { chromium } from 'playwright-core';
import { serve } from '../serve.mjs';

const FLAGS = [
  '--no-sandbox',
  '--enable-unsafe-webgpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];

/** A browser; `adapter` is Dawn's name of one. */
export const launch = ({ adapter = process.env.CHROMIUM_ADAPTER ?? 'swiftshader', flags = [] } = {}) =>
  chromium.launch({ executablePath: process.env.CHROMIUM, args: [...FLAGS, `--use-webgpu-adapter=${adapter}`, ...flags] });

/** The server of the page and of what tests need beside it. */
export const server = (handler) =>
  serve({ handler, more: { '/goldens/': 'tests/goldens', '/fixtures/': 'tests/fixtures', '/pages/': 'web/tests/pages' } });

/** A new page whose console errors and exceptions are in `page.problems`. */
export async function open(browser, address, options = {}) {
  const context = await browser.newContext({ permissions: ['camera'], ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on('console', (message) => message.type() === 'error' && page.problems.push(message.text()));
  page.on('pageerror', (error) => page.problems.push(String(error)));
  page.setDefaultTimeout(120_000);
  if (address) await page.goto(address);
  return page;
}
