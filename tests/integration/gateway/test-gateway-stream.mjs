// SPDX-License-Identifier: GPL-2.0-or-later
// helix-gateway: WebSockets and requests through to a bridge that it reaches directly.
import crypto from 'node:crypto';
import net from 'node:net';
import { direct, tokens } from './gateway.mjs';
import { assert, main, sleep, test, until } from './tap.mjs';
import { closeFrame, frame } from './websocket.mjs';

const { control, view } = tokens;

test('echo_of_all_sizes', async () => {
	const { gateway: g, bridge } = await direct();
	const ws = await g.stream('desktop-1', control);
	for (const size of [0, 1, 125, 126, 127, 1000, 65535, 65536, 70000, 1_000_000]) {
		const data = crypto.randomBytes(size);
		ws.send(2, data);
		const echo = await ws.message();
		assert.ok(!echo.text && echo.data.equals(data), `${size} bytes`);
	}
	ws.send(1, 'text');
	assert.deepEqual(await ws.message(), { text: true, data: Buffer.from('text') });
	ws.send(9, 'ping');
	await until('a pong', () => ws.pongs === 1);
	const { headers, url } = bridge.requests[0];
	assert.equal(url, '/ws/stream');
	assert.deepEqual(Object.keys(headers).sort(), ['connection', 'host', 'sec-websocket-key', 'sec-websocket-version',
		'upgrade', 'x-helix-role', 'x-helix-user']);
	assert.equal(headers['x-helix-role'], 'control');
	assert.equal(headers['x-helix-user'], 'alice');
	assert.equal((await g.desktops())[0].viewers, 1);
	ws.socket.write(closeFrame(1000, 'bye', { mask: true }));
	assert.equal(await bridge.viewers[0].closed(), 1000);
	bridge.viewers[0].socket.end(closeFrame(1000, 'bye'));
	assert.equal(await ws.closed(), 1000);
	await until('both are gone', async () => (await g.desktops())[0].viewers === 0);
});

test('frames_in_pieces', async () => {
	const { gateway: g, bridge } = await direct();
	const ws = await g.stream('desktop-1', control);
	ws.socket.setNoDelay(true);
	// Every message split at every byte, both ways.
	bridge.viewers[0].socket.setNoDelay(true);
	bridge.onViewer = null;
	const back = bridge.viewers[0];
	for (const size of [3, 126, 300]) {
		const data = crypto.randomBytes(size), masked = frame(2, data, { mask: true }), plain = frame(2, data);
		for (let i = 1; i < masked.length; i += size > 200 ? 7 : 1) {
			ws.socket.write(masked.subarray(0, i));
			await new Promise(setImmediate);
			ws.socket.write(masked.subarray(i));
			assert.ok((await ws.message()).data.equals(data), `${size} split at ${i}`);
		}
		for (let i = 1; i < plain.length; i += size > 200 ? 7 : 1) {
			back.socket.write(plain.subarray(0, i));
			await new Promise(setImmediate);
			back.socket.write(plain.subarray(i));
			assert.ok((await ws.message()).data.equals(data), `${size} split at ${i} on the way back`);
		}
	}
	// A ping in the middle of a message in fragments.
	back.socket.write(Buffer.concat([frame(2, 'one ', { fin: false }), frame(9, 'p'), frame(0, 'two ', { fin: false }),
		frame(0, 'three')]));
	assert.equal((await ws.message()).data.toString(), 'one two three');
	ws.destroy();
});

test('bytes_that_come_with_the_101_are_not_lost', async () => {
	const { gateway: g, bridge } = await direct();
	const { acceptKey } = await import('./websocket.mjs');
	bridge.onUpgrade = (request, socket) => {
		socket.write(Buffer.concat([
			Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
				`Sec-WebSocket-Accept: ${acceptKey(request.headers['sec-websocket-key'])}\r\n\r\n`),
			frame(2, 'early'), frame(2, Buffer.alloc(5000, 'x')).subarray(0, 3000)]));
	};
	const ws = await g.stream('desktop-1', control);
	assert.equal((await ws.message()).data.toString(), 'early');
	ws.destroy();
});

test('an_answer_byte_by_byte', async () => {
	const { gateway: g, bridge } = await direct();
	const { acceptKey } = await import('./websocket.mjs');
	const write = async (socket, text) => {
		socket.setNoDelay(true);
		for (const byte of Buffer.from(text, 'latin1')) {
			socket.write(Buffer.from([byte]));
			await new Promise(setImmediate);
		}
	};
	bridge.onUpgrade = (request, socket) => write(socket, 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
		`Connection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(request.headers['sec-websocket-key'])}\r\n\r\n` +
		frame(2, 'first').toString('latin1'));
	const ws = await g.stream('desktop-1', control);
	assert.equal((await ws.message()).data.toString(), 'first');
	ws.destroy();
	bridge.onRequest = (request) => write(request.socket, 'HTTP/1.1 203 x\r\nX-Secret: y\r\nContent-Length: 4\r\n\r\nbody');
	const answer = await g.request('/api/v1/external-agents/desktop-1/health', { token: control });
	assert.deepEqual([answer.status, answer.headers['x-secret'], answer.body.toString()], [203, undefined, 'body']);
});

test('the_bridge_says_no', async () => {
	const { gateway: g, bridge } = await direct();
	bridge.onUpgrade = (request, socket) => socket.end('HTTP/1.1 503 No\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nno cs');
	const refused = await g.stream('desktop-1', control);
	assert.equal(refused.status, 503);
	assert.equal(refused.body, 'no cs');
	assert.equal(refused.headers['set-cookie'], undefined);
	for (const answer of ['HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n', 'nonsense\r\n\r\n', 'HTTP/1.1 999 What\r\n\r\n',
		`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20000)}\r\n\r\n`, '']) {
		bridge.onUpgrade = (request, socket) => socket.end(answer);
		assert.equal((await g.stream('desktop-1', control)).status, 502, answer.slice(0, 40));
	}
	await bridge.stop();
	assert.equal((await g.stream('desktop-1', control)).status, 502);
	assert.equal(await g.metric('dials_failed_total'), 1);
});

test('a_viewer_without_control_only_looks', async () => {
	const { gateway: g, bridge } = await direct();
	assert.equal((await g.stream('desktop-1', view, { kind: 'input' })).status, 403);
	const ws = await g.stream('desktop-1', view);
	const seen = [];
	bridge.viewers[0].onMessage = (m) => {
		seen.push(m.text ? m.data.toString() : m.data[0]);
		if (m.data[0] === 0x40) {
			bridge.viewers[0].send(2, Buffer.from([0x41]));
		}
	};
	ws.send(1, '{"type":"init"}');
	for (const type of [0x10, 0x11, 0x12, 0x13, 0x14, 0x17, 0x20, 0x00, 0x01, 0xff]) {
		for (const size of [1, 20, 200, 70000]) {
			ws.send(2, Buffer.alloc(size, type));
		}
	}
	ws.send(2, '');
	// In fragments, split anywhere: what counts is the first byte of the message.
	ws.socket.write(Buffer.concat([frame(2, [0x10], { mask: true, fin: false }), frame(0, [0x40, 0x40], { mask: true })]));
	ws.socket.write(Buffer.concat([frame(2, [], { mask: true, fin: false }), frame(0, [0x10, 1], { mask: true })]));
	ws.socket.write(Buffer.concat([frame(2, [0x20], { mask: true, fin: false }), frame(0, '{}', { mask: true })]));
	const key = frame(2, [0x10, 0, 1, 0, 0, 30], { mask: true });
	for (const byte of key) {
		ws.socket.write(Buffer.from([byte]));
		await new Promise(setImmediate);
	}
	ws.send(2, Buffer.from([0x40, 0, 0, 0, 1]));
	assert.equal((await ws.message()).data[0], 0x41);
	assert.deepEqual(seen, ['{"type":"init"}', 0x20, 0x20, 0x20, 0x20, 0x20, 0x40]);
	assert.equal(bridge.requests[0].headers['x-helix-role'], 'view');
	ws.destroy();
	await until('it is counted', async () => await g.metric('filtered_total') === 9 * 4 + 4);
});

test('bad_frames_of_a_viewer', async () => {
	const { gateway: g, bridge } = await direct();
	for (const bytes of [frame(2, 'unmasked'), frame(2, 'x', { mask: true, rsv: 4 }), frame(3, 'x', { mask: true }),
		frame(0, 'x', { mask: true }), frame(9, Buffer.alloc(126), { mask: true }),
		frame(8, 'x', { mask: true, fin: false }), Buffer.from([0x82, 0xfe, 0, 5, 0, 0, 0, 0]),
		Buffer.concat([Buffer.from([0x82, 0xff]), Buffer.alloc(8, 0xff), Buffer.alloc(4)]),
		Buffer.concat([frame(2, 'x', { mask: true, fin: false }), frame(2, 'x', { mask: true })])]) {
		const ws = await g.stream('desktop-1', control);
		ws.socket.write(bytes);
		assert.equal(await ws.closed(), 1002, bytes.toString('hex'));
		ws.destroy();
	}
	for (const back of bridge.viewers) {
		await until('the bridge is told', () => back.ended);
		assert.ok(!back.messages.some((m) => m.data.toString() === 'unmasked'));
	}
});

test('a_bridge_that_breaks_closes_with_1012', async () => {
	const { gateway: g, bridge } = await direct();
	const idle = await g.stream('desktop-1', control), half = await g.stream('desktop-1', control);
	const split = await g.stream('desktop-1', control);
	// In the middle of a message, and in the middle of a header.
	bridge.viewers[1].socket.write(frame(2, Buffer.alloc(50000, 'x')).subarray(0, 30000));
	bridge.viewers[2].socket.write(frame(2, Buffer.alloc(50000, 'x')).subarray(0, 3));
	await until('half a message', () => half.bytes >= 30000);
	const { port } = bridge;
	await bridge.stop();
	for (const ws of [idle, half, split]) {
		assert.equal(await ws.closed(), 1012);
		ws.socket.write(closeFrame(1012, '', { mask: true }));
		await until('the gateway closes', () => ws.ended);
	}
	assert.equal(half.parts.list.length >= 1, true); // never became a message
	assert.equal(half.messages.length, 0);
	// It comes back, and so do viewers: with a new stream from its beginning.
	assert.equal((await g.stream('desktop-1', control)).status, 502);
	await bridge.start(port);
	const again = await g.stream('desktop-1', control);
	again.send(2, 'back');
	assert.equal((await again.message()).data.toString(), 'back');
	again.destroy();
	assert.equal(await g.metric('broken_total'), 3);
});

test('the_gateway_ends_and_comes_again', async () => {
	const { gateway: g, bridge } = await direct();
	const ws = await g.stream('desktop-1', control);
	await g.stop();
	assert.equal(await ws.closed(), 1012);
	await until('the bridge is told', () => bridge.viewers[0].ended);
	await g.start();
	const again = await g.stream('desktop-1', control);
	again.send(2, 'x');
	assert.equal((await again.message()).data.toString(), 'x');
	again.destroy();
});

test('the_same_viewer_again_supersedes', async () => {
	const { gateway: g, bridge } = await direct();
	const open = (client, token = control, kind = 'stream') => g.stream('desktop-1', token, { client, kind });
	const first = await open('tab-1'), other = await open('tab-2'), input = await open('tab-1', control, 'input');
	const bob = await open('tab-1', view), nobody = await open(undefined), nobody2 = await open(undefined);
	const second = await open('tab-1');
	assert.equal(await first.closed(), 4000);
	for (const ws of [other, input, nobody, nobody2, second]) {
		ws.send(2, 'alive');
		assert.equal((await ws.message()).data.toString(), 'alive');
	}
	bob.send(1, 'alive');
	assert.equal((await bob.message()).data.toString(), 'alive');
	// Also in the middle of a message, to a viewer that is slow to read.
	const back = bridge.viewers.at(-1);
	second.socket.pause();
	back.send(2, Buffer.alloc(30_000_000, 'x'));
	await until('the way is full', () => back.socket.writableLength > 1_000_000);
	const third = await open('tab-1');
	second.socket.resume();
	assert.equal(await second.closed(), 4000);
	// And to one whose bridge has not answered yet.
	bridge.onUpgrade = () => {};
	const waiting = open('tab-1');
	await until('the bridge is asked', () => bridge.requests.length === 9);
	assert.equal(await third.closed(), 4000);
	bridge.onUpgrade = null;
	const last = await open('tab-1');
	assert.equal(await (await waiting).closed(), 4000);
	for (const ws of [first, other, input, bob, nobody, nobody2, second, third, last, await waiting]) {
		ws.destroy();
	}
	assert.equal(await g.metric('superseded_total'), 4);
});

test('a_slow_viewer_costs_no_memory', async () => {
	const { gateway: g, bridge } = await direct();
	const fast = await g.stream('desktop-1', control), slow = await g.stream('desktop-1', control);
	const before = g.rssKiB();
	slow.socket.pause();
	const back = bridge.viewers[1];
	for (let i = 0; i < 100; i++) {
		back.send(2, Buffer.alloc(1_000_000, i));
	}
	await sleep(1000);
	// 100 MB wait at the bridge, but for what sockets hold; the other viewer notices nothing.
	assert.ok(back.socket.writableLength > 80_000_000, `${back.socket.writableLength}`);
	const start = performance.now();
	fast.send(2, 'x');
	await fast.message();
	assert.ok(performance.now() - start < 500);
	assert.ok(g.rssKiB() - before < 4000, `${before} to ${g.rssKiB()} KiB`);
	const cpu = g.cpuMs();
	await sleep(1000);
	assert.ok(g.cpuMs() - cpu <= 30, 'it waits, and does not spin');
	slow.socket.resume();
	for (let i = 0; i < 100; i++) {
		const m = await slow.message(30000);
		assert.ok(m.data.length === 1_000_000 && m.data[0] === i && m.data[999_999] === i);
	}
	slow.destroy();
	fast.destroy();
});

test('a_slow_bridge_costs_no_memory', async () => {
	const { gateway: g, bridge } = await direct();
	const ws = await g.stream('desktop-1', control);
	const before = g.rssKiB();
	bridge.viewers[0].socket.pause();
	for (let i = 0; i < 50; i++) {
		ws.send(2, Buffer.alloc(1_000_000));
	}
	await sleep(500);
	assert.ok(ws.socket.writableLength > 40_000_000);
	assert.ok(g.rssKiB() - before < 4000, `${before} to ${g.rssKiB()} KiB`);
	ws.destroy();
});

test('plain_requests', async () => {
	const { gateway: g, bridge } = await direct();
	const base = '/api/v1/external-agents/desktop-1';
	const ask = (target, options = {}) => g.request(base + target, { token: control, ...options });
	bridge.onRequest = (request, response) => {
		const chunks = [];
		request.on('data', (d) => chunks.push(d));
		request.on('end', () => {
			response.setHeader('Set-Cookie', 'helix_session=evil');
			response.setHeader('Access-Control-Allow-Origin', '*');
			response.setHeader('Content-Type', 'text/html');
			response.setHeader('ETag', '"e"');
			response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers,
				body: Buffer.concat(chunks).length }));
		});
	};
	const answer = await ask('/clipboard?a=b%20c', { method: 'POST', body: Buffer.alloc(3_000_000),
		headers: { 'Content-Type': 'application/json', Cookie: 'x=y', 'X-Other': '1', 'X-Helix-Role': 'control' } });
	assert.equal(answer.status, 200);
	assert.equal(answer.headers['set-cookie'], undefined);
	assert.equal(answer.headers['access-control-allow-origin'], undefined);
	assert.match(answer.headers['content-security-policy'], /sandbox/);
	assert.equal(answer.headers.etag, '"e"');
	const got = JSON.parse(answer.body);
	assert.deepEqual([got.method, got.url, got.body], ['POST', '/clipboard?a=b%20c', 3_000_000]);
	assert.deepEqual(Object.keys(got.headers).sort(), ['connection', 'content-length', 'content-type', 'host',
		'x-helix-role', 'x-helix-user']);
	assert.equal((await ask('/x', { method: 'HEAD' })).body.length, 0);
	// A viewer cannot say that it may do more.
	const viewed = await ask('/screenshot', { token: view, headers: { 'X-Helix-Role': 'control' } });
	assert.equal(JSON.parse(viewed.body).headers['x-helix-role'], 'view');
	// Chunked, and longer than all buffers.
	const large = crypto.randomBytes(20_000_000);
	bridge.onRequest = (request, response) => {
		response.write(large.subarray(0, 10));
		response.end(large.subarray(10));
	};
	assert.ok((await ask('/screenshot')).body.equals(large));
	// An answer that breaks off is seen to.
	bridge.onRequest = (request, response) => {
		response.setHeader('Content-Length', '1000');
		response.write('half');
		setTimeout(() => response.destroy(), 50);
	};
	await assert.rejects(ask('/screenshot'));
	bridge.onRequest = (request, response) => response.destroy();
	assert.equal((await ask('/screenshot')).status, 502);
	// Many announcements of an answer.
	bridge.onRequest = (request) => request.socket.end(`${'HTTP/1.1 102 \r\n\r\n'.repeat(5000)}HTTP/1.1 204 x\r\n\r\n`);
	assert.equal((await ask('/screenshot')).status, 204);
});

test('requests_of_http_1_0', async () => {
	const { gateway: g, bridge } = await direct({ auth: false });
	bridge.onRequest = (request, response) => {
		response.write('no '); // Node would make this chunks for 1.1
		response.end('chunks');
	};
	const answer = await g.raw('GET /api/v1/external-agents/desktop-1/health HTTP/1.0\r\nHost: localhost\r\n\r\n');
	assert.match(answer, /\r\n\r\nno chunks$/);
});

test('thumbnails', async () => {
	const { gateway: g, bridge } = await direct({ args: ['--thumbnail-ms', '1000'] });
	const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), crypto.randomBytes(100_000)]);
	let running = 0, most = 0, delay = 300, status = 200;
	bridge.onRequest = (request, response) => {
		assert.match(request.url, /^\/screenshot\?/);
		most = Math.max(most, ++running);
		setTimeout(() => {
			running--;
			response.statusCode = status;
			response.end(jpeg);
		}, delay);
	};
	const ask = (headers = {}) => g.request('/api/v1/desktops/desktop-1/thumbnail', { token: view, headers });
	for (const a of await Promise.all(Array.from({ length: 20 }, () => ask()))) {
		assert.equal(a.status, 200);
		assert.equal(a.headers['content-type'], 'image/jpeg');
		assert.ok(a.body.equals(jpeg));
	}
	assert.equal(bridge.requests.length, 1);
	const fresh = await ask();
	assert.equal((await ask({ 'If-None-Match': fresh.headers.etag })).status, 304);
	assert.equal(bridge.requests.length, 1);
	const [listed] = await g.desktops();
	assert.equal(listed.state, 'online');
	assert.equal(listed.thumbnail_version, 1);
	await sleep(1100);
	const newer = await ask({ 'If-None-Match': fresh.headers.etag });
	assert.equal(newer.status, 200);
	assert.equal(bridge.requests.length, 2);
	// A viewer that leaves while it waits; one bridge that fails is not asked at once again.
	await sleep(1100);
	status = 500;
	const socket = net.connect(g.port, '127.0.0.1', () => socket.write('GET /api/v1/desktops/desktop-1/thumbnail HTTP/1.1\r\n' +
		`Host: x\r\nAuthorization: Bearer ${view}\r\n\r\n`));
	const other = ask();
	await sleep(100);
	socket.destroy();
	assert.equal((await other).status, 503);
	assert.equal((await ask()).status, 503);
	assert.equal(bridge.requests.length, 3);
	assert.equal(most, 1);
	assert.equal(await g.metric('thumbnails_total'), 2);
	assert.equal((await g.desktops())[0].state, 'online'); // it does answer
	await bridge.stop();
	await sleep(1000);
	assert.equal((await ask()).status, 503);
	assert.equal((await g.desktops())[0].state, 'offline');
});

test('a_thousand_connects_leave_nothing_behind', async () => {
	const { gateway: g, bridge } = await direct();
	const round = async (n) => {
		for (let i = 0; i < n; i += 20) {
			await Promise.all(Array.from({ length: 20 }, async (_, k) => {
				const ws = await g.stream('desktop-1', control, { client: `tab-${k % 7}` });
				if (ws.socket && !ws.ended) {
					ws.send(2, Buffer.alloc(2000));
					ws.socket.write(k % 3 ? closeFrame(1000, '', { mask: true }) : frame(2, 'half', { mask: true }).subarray(0, 5));
					await sleep(5);
					ws.destroy();
				}
			}));
			bridge.viewers.splice(0).forEach((v) => v.destroy());
		}
		await until('all are gone', async () => await g.metric('connections') === 1);
	};
	await round(200);
	const fds = g.fds(), rss = g.rssKiB();
	await round(1000);
	assert.equal(g.fds(), fds);
	assert.ok(g.rssKiB() - rss < 1000, `${rss} to ${g.rssKiB()} KiB`);
	assert.equal((await g.desktops())[0].viewers, 0);
}, 120);

test('sixteen_idle_viewers_cost_nothing', async () => {
	const { gateway: g } = await direct();
	const viewers = await Promise.all(Array.from({ length: 16 }, () => g.stream('desktop-1', control)));
	const cpu = g.cpuMs();
	await sleep(3000);
	assert.ok(g.cpuMs() - cpu <= 10, `${g.cpuMs() - cpu} ms`);
	viewers.forEach((ws) => ws.destroy());
});

await main();
