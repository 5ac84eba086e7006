// SPDX-License-Identifier: GPL-2.0-or-later
// helix-gateway: files, who may ask for what, and what is no good request.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { direct, Gateway, temporaryDirectory, tokens, tokenFile } from './gateway.mjs';
import { assert, defer, main, sleep, test, until } from './tap.mjs';
import { open } from './websocket.mjs';

const { control, view, runner, other } = tokens;

test('files', async () => {
	const g = await new Gateway().start();
	const types = { 'a.html': 'text/html; charset=utf-8', 'a.js': 'text/javascript; charset=utf-8',
		'a.css': 'text/css; charset=utf-8', 'a.svg': 'image/svg+xml', 'a.wasm': 'application/wasm',
		'a.json': 'application/json', 'a': 'application/octet-stream' };
	const large = Buffer.alloc(3_000_000, 'x');
	for (const name of Object.keys(types)) {
		fs.writeFileSync(path.join(g.webRoot, name), large);
	}
	for (const [name, type] of Object.entries(types)) {
		const answer = await g.request(`/${name}`, { token: control });
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['content-type'], type);
		assert.equal(answer.headers['x-content-type-options'], 'nosniff');
		assert.match(answer.headers['content-security-policy'], /default-src 'none'/);
		assert.ok(answer.body.equals(large));
	}
	const index = await g.request('/', { token: control });
	assert.equal(index.body.toString(), '<h1>desktops</h1>\n');
	assert.equal(index.headers['cache-control'], 'no-cache');
	const again = await g.request('/', { token: control, headers: { 'If-None-Match': index.headers.etag } });
	assert.equal(again.status, 304);
	assert.equal(again.body.length, 0);
	const head = await g.request('/', { token: control, method: 'HEAD' });
	assert.equal(head.headers['content-length'], '18');
	assert.equal(head.body.length, 0);
	for (const [target, method, allow] of [
		['/', 'DELETE', 'GET, HEAD'], ['/api/v1/desktops', 'POST', 'GET, HEAD'],
		['/login', 'PUT', 'GET, HEAD, POST'], ['/api/v1/login', 'GET', 'POST'], ['/logout', 'GET', 'POST'],
	]) {
		const refused = await g.request(target, { token: control, method });
		assert.deepEqual([refused.status, refused.headers.allow], [405, allow], target);
	}
	assert.equal((await g.request('/js', { token: control })).status, 404);
	assert.equal((await g.request('/nothing', { token: control })).status, 404);
});

test('nothing_but_files', async () => {
	const g = await new Gateway({ auth: false }).start();
	fs.writeFileSync(path.join(g.dir, 'secret'), 'secret');
	fs.writeFileSync(path.join(g.webRoot, '.hidden'), 'secret');
	fs.symlinkSync(path.join(g.dir, 'secret'), path.join(g.webRoot, 'link'));
	fs.symlinkSync(g.dir, path.join(g.webRoot, 'links'));
	const targets = ['/../secret', '/%2e%2e/secret', '/js/../../secret', '/js/..%2f..%2fsecret', '/..%5csecret',
		'//../secret', '/%2fetc/passwd', '//etc/passwd', '/.hidden', '/%2ehidden', '/link', '/links/secret',
		'/js/main.js/../../../secret', '/./index.html', '/index.html%00', '/%', '/%zz', `/${'a/'.repeat(900)}`,
		'/\u00ff', '/js//', '/tokens', '/../tokens'];
	for (const target of targets) {
		const answer = await g.raw(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
		assert.match(answer, /^HTTP\/1.1 40[04] /, target);
		assert.ok(!answer.includes('secret') && !answer.includes('sha256'), target);
	}
});

test('who_may_ask_for_what', async () => {
	const { gateway: g, bridge } = await direct();
	bridge.onRequest = (request, response) => response.end('the bridge');
	const base = '/api/v1/external-agents/desktop-1';
	const table = [ // path, method: without, wrong, view, control, runner
		['/health', 'GET', 200, 200, 200, 200, 200],
		['/login', 'GET', 200, 200, 200, 200, 200],
		['/', 'GET', 401, 401, 200, 200, 403],
		['/js/main.js', 'GET', 401, 401, 200, 200, 403],
		['/nothing', 'GET', 401, 401, 404, 404, 403],
		['/metrics', 'GET', 401, 401, 200, 200, 403],
		['/api/v1/desktops', 'GET', 401, 401, 200, 200, 403],
		['/api/v1/desktops/desktop-1/thumbnail', 'GET', 401, 401, 503, 503, 403],
		['/api/v1/desktops/nobody/thumbnail', 'GET', 401, 401, 403, 404, 403],
		['/api/v1/nothing', 'GET', 401, 401, 404, 404, 403],
		[`${base}/screenshot?format=png`, 'GET', 401, 401, 200, 200, 403],
		[`${base}/clients`, 'GET', 401, 401, 200, 200, 403],
		[`${base}/video/stats`, 'GET', 401, 401, 200, 200, 403],
		[`${base}/screenshot`, 'POST', 401, 401, 403, 200, 403],
		[`${base}/clipboard`, 'GET', 401, 401, 403, 200, 403],
		[`${base}/clipboard`, 'POST', 401, 401, 403, 200, 403],
		[`${base}/resize`, 'POST', 401, 401, 403, 200, 403],
		[`${base}/exec`, 'POST', 401, 401, 403, 200, 403],
		[`${base}/screenshot/../exec`, 'GET', 401, 401, 403, 200, 403],
		[`${base}/ws/stream`, 'GET', 401, 401, 426, 426, 403],
		[base, 'GET', 401, 401, 403, 404, 403],
		['/api/v1/external-agents/desktop-2/screenshot', 'GET', 401, 401, 404, 404, 403],
		['/api/v1/external-agents/other-1/screenshot', 'GET', 401, 401, 403, 404, 403],
		['/api/v1/external-agents/..%2fx/screenshot', 'GET', 401, 401, 404, 404, 403],
		['/api/v1/revdial', 'GET', 401, 401, 403, 403, 400],
		['/api/v1/revdial?runnerid=desktop-desktop-1', 'GET', 401, 401, 403, 403, 403], // it is direct
		['/api/v1/revdial?runnerid=desktop-elsewhere', 'GET', 401, 401, 403, 403, 403],
		['/api/v1/revdial?runnerid=hydra-1', 'GET', 401, 401, 403, 403, 400],
		[`/api/v1/revdial?revdial.dialer=${'0'.repeat(32)}&revdial.req=x`, 'GET', 401, 401, 403, 403, 500],
	];
	const who = [undefined, 'wrong', view, control, runner];
	for (const [target, method, ...expected] of table) {
		for (const [i, token] of who.entries()) {
			const answer = await g.request(target, { token, method });
			assert.equal(answer.status, expected[i], `${method} ${target} with ${token}`);
		}
	}
	assert.equal(await g.metric('unauthorized_total') > 50, true);
});

test('strangers_learn_nothing', async () => {
	const { gateway: g, bridge } = await direct();
	const paths = ['/api/v1/desktops', '/api/v1/external-agents/desktop-1/screenshot',
		'/api/v1/external-agents/nobody/screenshot', '/js/main.js', '/js/nothing.js', '/metrics', '/api/v1/x'];
	for (const token of [undefined, 'wrong', ' ', 'x'.repeat(3000)]) {
		const bodies = new Set();
		for (const target of paths) {
			const answer = await g.request(target, { token });
			assert.equal(answer.status, 401);
			assert.equal(answer.headers['www-authenticate'], 'Bearer');
			assert.equal(answer.headers.etag, undefined);
			bodies.add(answer.body.toString());
		}
		assert.equal(bodies.size, 1);
		for (const desktop of ['desktop-1', 'nobody']) {
			const answer = await g.stream(desktop, token);
			assert.equal(answer.status, 401);
		}
	}
	// The same for those who are known, and may see other desktops.
	const [there, not] = [await g.request('/api/v1/external-agents/desktop-1/screenshot', { token: other }),
		await g.request('/api/v1/external-agents/nobody/screenshot', { token: other })];
	assert.deepEqual([there.status, there.body.toString()], [not.status, not.body.toString()]);
	assert.equal(there.status, 403);
	assert.deepEqual(await g.desktops(other), []);
	assert.equal((await g.stream('desktop-1', other)).status, 403);
	assert.equal(bridge.requests.length, 0);
});

test('cookies', async () => {
	const { gateway: g } = await direct();
	const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
	const login = (token, headers = {}, target = '/api/v1/login') => g.request(target,
		{ method: 'POST', headers: { ...form, ...headers }, body: new URLSearchParams({ token }).toString() });
	assert.equal((await login('wrong')).status, 401);
	assert.equal((await login(runner)).status, 401);
	assert.equal((await login(control, { Origin: 'http://evil.example' })).status, 403);
	const page = await login('wrong', {}, '/login');
	assert.equal(page.status, 401);
	assert.match(page.body.toString(), /not known here/);
	const answer = await login(control, { Origin: g.base });
	assert.equal(answer.status, 204);
	const [cookie] = answer.headers['set-cookie'];
	assert.match(cookie, /; HttpOnly; SameSite=Lax$/);
	assert.ok(!cookie.includes(control));
	const value = cookie.split(';')[0];
	const browser = await login(control, {}, '/login');
	assert.equal(browser.status, 303);
	assert.equal(browser.headers.location, '/');
	const ask = (c, headers = {}) => g.request('/api/v1/desktops', { headers: { Cookie: c, ...headers } });
	assert.equal((await ask(value)).status, 200);
	assert.equal((await ask(`a=b; ${value}; c=d`)).status, 200);
	// A cookie does not help a wrong token.
	assert.equal((await ask(value, { Authorization: 'Bearer wrong' })).status, 401);
	// Every part of it counts.
	for (let i = 'helix_session='.length; i < value.length; i++) {
		const changed = value.slice(0, i) + (value[i] === '1' ? '2' : '1') + value.slice(i + 1);
		assert.equal((await ask(changed)).status, 401, changed);
	}
	assert.equal((await ask('helix_session=')).status, 401);
	assert.equal((await ask('helix_session=..')).status, 401);
	assert.equal((await ask(`helix_session=${'9'.repeat(400)}`)).status, 401);
	// With it, a WebSocket of the same origin.
	const ws = await g.stream('desktop-1', undefined, { headers: { Cookie: value, Origin: g.base } });
	ws.send(2, 'x');
	assert.equal((await ws.message()).data.toString(), 'x');
	ws.destroy();
	const out = await g.request('/api/v1/logout', { method: 'POST', headers: { Cookie: value } });
	assert.match(out.headers['set-cookie'][0], /helix_session=; .*Max-Age=0/);
	// A page for people.
	const html = { Accept: 'text/html,*/*' };
	const redirected = await g.request('/', { headers: html });
	assert.equal(redirected.status, 303);
	assert.equal(redirected.headers.location, '/login');
	const login1 = (await g.request('/login')).body.toString(), login2 = (await g.request('/login')).body.toString();
	assert.match(login1, /<form method="post"/);
	assert.notEqual(login1, login2); // nonces
	assert.equal((await g.request('/login', { method: 'POST', body: 'token=' + 'x'.repeat(5000) })).status, 413);
});

test('cookie_key', async () => {
	const key = path.join(temporaryDirectory(), 'key');
	const g = await new Gateway({ args: ['--cookie-key', key] }).start();
	const answer = await g.request('/api/v1/login', { method: 'POST', body: `token=${control}` });
	const headers = { Cookie: answer.headers['set-cookie'][0].split(';')[0] };
	assert.equal(fs.statSync(key).mode & 0o777, 0o600);
	await g.stop();
	await g.start();
	assert.equal((await g.request('/', { headers })).status, 200);
	await g.stop();
	fs.writeFileSync(key, `${'0'.repeat(64)}\n`);
	await g.start();
	assert.equal((await g.request('/', { headers })).status, 401);
});

test('origins', async () => {
	const { gateway: g, bridge } = await direct({ args: ['--allow-origin', 'https://good.example'] });
	const upgrade = async (Origin, token = control) => {
		const ws = await g.stream('desktop-1', token, { headers: Origin ? { Origin } : {} });
		ws.destroy?.();
		return ws.status ?? 101;
	};
	assert.equal(await upgrade(undefined), 101);
	assert.equal(await upgrade(g.base), 101);
	assert.equal(await upgrade('https://good.example'), 101);
	const before = bridge.requests.length;
	for (const origin of ['http://evil.example', 'null', `https://127.0.0.1:${g.port}`, 'http://127.0.0.1',
		`http://127.0.0.1:${g.port}.evil.example`, 'https://good.example.evil', 'http://good.example']) {
		assert.equal(await upgrade(origin), 403, origin);
		const post = await g.request('/api/v1/external-agents/desktop-1/clipboard',
			{ method: 'POST', token: control, headers: { Origin: origin }, body: '{}' });
		assert.equal(post.status, 403, origin);
	}
	assert.equal(bridge.requests.length, before);
	const answer = await g.request('/api/v1/desktops', { token: control, headers: { Origin: 'http://evil.example' } });
	assert.equal(answer.headers['access-control-allow-origin'], undefined);
});

test('without_tokens_only_this_machine', async () => {
	const { gateway: g } = await direct({ auth: false });
	const ask = (host) => g.raw(`GET /api/v1/desktops HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
	assert.match(await ask('localhost'), / 200 /);
	assert.match(await ask(`127.0.0.1:${g.port}`), / 200 /);
	assert.match(await ask('[::1]:1'), / 200 /);
	for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '']) {
		assert.match(await ask(host), / 403 /, host);
	}
});

test('tokens_are_read_again', async () => {
	const { gateway: g } = await direct();
	const bob = await g.stream('desktop-1', view), alice = await g.stream('desktop-1', control);
	assert.ok(bob.socket && alice.socket);
	fs.writeFileSync(g.tokensPath, tokenFile().replace(/^user bob.*$/m, ''));
	g.process.kill('SIGHUP');
	assert.equal(await bob.closed(), 1008);
	assert.equal((await g.request('/', { token: view })).status, 401);
	alice.send(2, 'still here');
	assert.equal((await alice.message()).data.toString(), 'still here');
	// A broken file changes nothing.
	fs.writeFileSync(g.tokensPath, 'user alice admin * sha256:00\n');
	g.process.kill('SIGHUP');
	await until('it complains', () => g.log.includes(`${g.tokensPath}:1: the role is neither`));
	assert.equal((await g.request('/', { token: control })).status, 200);
	alice.destroy();
});

test('bad_requests', async () => {
	const g = await new Gateway({ auth: false }).start();
	const table = [
		['\r\n\r\n', 400], ['GET /\r\n\r\n', 400], ['GET / HTTP/1.1\n\n', 400], ['GET / HTTP/2.0\r\n\r\n', 505],
		['GET / HTTP/1.1\r\n\r\n', 400], ['GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n', 400],
		['GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n', 400],
		['GET / HTTP/1.1\r\nHost : localhost\r\n\r\n', 400], ['GET / HTTP/1.1\r\nHost: local\0host\r\n\r\n', 400],
		['GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
		['GET /\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n', 400], ['G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
		['POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 411],
		['POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', 400],
		['POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n', 400],
		['POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e3\r\n\r\n', 400],
		['POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 411],
		[`GET /${'x'.repeat(3000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414],
		[`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, 431],
		[`GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(90000)}`, 431],
		[`GET / HTTP/1.1\r\nHost: localhost\r\n${'X: y\r\n'.repeat(70)}\r\n`, 431],
		[`${'x'.repeat(20000)}`, 431],
		['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n', 400],
	];
	for (const [bytes, status] of table) {
		const answer = await g.raw(Buffer.from(bytes, 'latin1'));
		assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), JSON.stringify(bytes.slice(0, 60)));
		assert.equal(answer.match(/HTTP\/1.1 /g).length, 1);
	}
	assert.equal((await g.request('/')).status, 200);
});

test('requests_in_pieces_and_in_a_row', async () => {
	const g = await new Gateway({ auth: false }).start();
	const one = 'GET /js/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n';
	// Byte by byte.
	const socket = net.connect(g.port, '127.0.0.1');
	socket.setNoDelay(true);
	let answer = '';
	socket.on('data', (d) => { answer += d; });
	for (const byte of one) {
		socket.write(byte);
		await sleep(1);
	}
	await until('an answer', () => answer.includes('export {};'));
	// Many at once: an answer for each, in order.
	answer = '';
	socket.write(one.repeat(60) + 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
	await new Promise((resolve) => socket.on('close', resolve));
	assert.equal(answer.split('export {};').length - 1, 60);
	assert.ok(answer.endsWith('<h1>desktops</h1>\n'));
});

test('slow_requests_are_cut_off', async () => {
	const g = await new Gateway({ auth: false }).start();
	const begin = Date.now();
	const silent = g.raw('', 30000);
	const half = g.raw('GET / HTTP/1.1\r\nHost: localhost\r\n', 30000);
	// A byte each half second does not help.
	const slow = new Promise((resolve) => {
		const socket = net.connect(g.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n'));
		const timer = setInterval(() => socket.write('X'), 500);
		let answer = '';
		socket.on('data', (d) => { answer += d; });
		socket.on('error', () => {});
		socket.on('close', () => {
			clearInterval(timer);
			resolve(answer);
		});
	});
	assert.equal(await silent, '');
	assert.match(await half, /^HTTP\/1.1 408 /);
	assert.match(await slow, /^HTTP\/1.1 408 /);
	const took = Date.now() - begin;
	assert.ok(took > 8000 && took < 14000, `${took} ms`);
	assert.equal(await g.metric('connections'), 1);
});

test('so_many_connections_and_not_more', async () => {
	const g = await new Gateway({ auth: false, args: ['--max-per-address', '20'] }).start();
	const sockets = [];
	defer(() => sockets.forEach((s) => s.destroy()));
	for (let i = 0; i < 30; i++) {
		sockets.push(net.connect(g.port, '127.0.0.1'));
		sockets[i].on('error', () => {});
	}
	await until('ten are refused', () => sockets.filter((s) => s.destroyed || s.readyState === 'closed' ||
		s.closed).length === 0 ? (sockets.forEach((s) => s.resume()), false) : sockets.filter((s) => s.closed).length === 10);
	sockets.splice(0).forEach((s) => s.destroy());
	await until('there is room again', async () => {
		try {
			return (await g.request('/health')).status === 200;
		} catch {
			return false;
		}
	});
	assert.equal(await g.metric('refused_total') >= 10, true);
});

test('tls', async () => {
	const { gateway: g, bridge } = await direct({ tls: true });
	bridge.onRequest = (request, response) => response.end(Buffer.alloc(2_000_000, 'y'));
	assert.equal((await g.request('/', { token: control })).body.toString(), '<h1>desktops</h1>\n');
	const shot = await g.request('/api/v1/external-agents/desktop-1/screenshot', { token: control });
	assert.equal(shot.body.length, 2_000_000);
	const ws = await g.stream('desktop-1', control, { headers: { Origin: g.base } });
	const large = Buffer.alloc(1_000_000, 'z');
	ws.send(2, large);
	assert.ok((await ws.message()).data.equals(large));
	// What TLS has read already, no event tells of: the end must not stay in there.
	for (let i = 0; i < 10; i++) {
		bridge.viewers[0].socket.pause();
		ws.send(2, large);
		ws.send(2, `the end ${i}`);
		await sleep(50);
		bridge.viewers[0].socket.resume();
		assert.ok((await ws.message()).data.equals(large));
		assert.equal((await ws.message()).data.toString(), `the end ${i}`);
	}
	ws.destroy();
	const answer = await g.request('/api/v1/login', { method: 'POST', body: `token=${control}` });
	assert.match(answer.headers['set-cookie'][0], /; Secure$/);
	// Plain HTTP is no TLS.
	assert.ok(!(await g.raw('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')).includes('HTTP/1.1'));
});

test('wrong_command_lines', async () => {
	const { spawnSync } = await import('node:child_process');
	const run = (...args) => spawnSync(process.env.HELIX_GATEWAY, args, { encoding: 'utf8', timeout: 10000 });
	for (const args of [[], ['--no-auth', '--listen', '0.0.0.0:0'], ['--no-auth', '--listen', '0.0.0.0:8080'],
		['--no-auth', '--desktop', 'x'], ['--no-auth', '--desktop', '../x=localhost:1'],
		['--no-auth', '--desktop', 'a=h:1', '--desktop', 'a=h:2'], ['--no-auth', '--tls-cert', 'x'],
		['--no-auth', '--allow-origin', 'evil'], ['--no-auth', 'x']]) {
		assert.equal(run(...args).status, 2, args.join(' '));
	}
	assert.equal(run('--tokens', '/nonexistent').status, 1);
	assert.equal(run('--no-auth', '--tls-cert', '/nonexistent', '--tls-key', '/nonexistent').status, 1);
	assert.equal(run('--help').status, 0);
	const token = run('--new-token').stdout;
	assert.match(token, /^token: +[0-9a-f]{64}\nin file: sha256:[0-9a-f]{64}\n$/);
});

await main();
