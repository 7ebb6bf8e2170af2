// The declarations, as a user's TypeScript meets them.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

const here = import.meta.dirname;

test('the declarations compile, and a program that uses them', () => {
  const tsc = path.join(here, '../node_modules/typescript/bin/tsc');
  const flags = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom'];
  execFileSync(process.execPath, [tsc, ...flags, path.join(here, 'pages/types.mts')], { stdio: 'inherit' });
});
