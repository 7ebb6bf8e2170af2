// Serves the page, the package and the sample pictures, with the MIME types and isolation headers that browsers want.
//   node web/serve.mjs          http://localhost:8080/
// Tests and benchmarks import `serve` and get a free port.

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');

const TYPES = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.jpg': 'image/jpeg',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
};

/** Addresses and the folders behind them; the longest that fits counts. */
const FOLDERS = { '/': 'examples/web', '/mbconv/': 'web/dist', '/assets/': 'assets' };

/** A server on `port` (0: any free one); `more` adds folders, `handler(request, response)` may answer first. */
export async function serve({ port = 0, more = {}, handler } = {}) {
  const folders = { ...FOLDERS, ...more };
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = http.createServer(async (request, response) => {
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    response.setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    response.setHeader('Cache-Control', 'no-cache');
    if (handler?.(request, response)) return;
    const address = path.posix.normalize(decodeURIComponent(new URL(request.url, 'http://localhost').pathname));
    const prefix = prefixes.find((p) => address.startsWith(p));
    const file = path.resolve(root, folders[prefix], address.endsWith('/') ? `.${path.sep}${address.slice(prefix.length)}index.html` : address.slice(prefix.length));
    try {
      const info = await stat(file);
      if (!info.isFile()) throw new Error('not a file');
      const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
      response.writeHead(200, { 'Content-Type': type, 'Content-Length': info.size });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found\n');
    }
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return { address: `http://localhost:${server.address().port}`, close: () => server.close() };
}

if (process.argv[1] === import.meta.filename) {
  const { address } = await serve({ port: Number(process.env.PORT ?? 8080) });
  console.log(`serving ${address}/ (Ctrl-C ends it)`);
}
