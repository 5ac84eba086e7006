// SPDX-License-Identifier: GPL-2.0-or-later
// RevDial: helix-gateway with a client written from the documentation, and with our own.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import net from 'node:net';
import fs from 'node:fs';
import { Bridge, Gateway, rssKiB, tokens, tokenFile } from './gateway.mjs';
import { RevdialClient } from './revdial-client.mjs';
import { assert, defer, main, sleep, test, until } from './tap.mjs';
import { frame, open } from './websocket.mjs';

const { control, runner, view } = tokens;

async function setUp(options = {}) {
	const bridge = await new Bridge().start();
	const gateway = await new Gateway(options).start();
	return { bridge, gateway };
}

function client(gateway, bridge, options = {}) {
	const c = new RevdialClient({ base: gateway.base, name: 'desktop-1', token: runner, port: bridge.port, ...options });
	defer(() => c.close());
	return c;
}

// Our own, as a process.
async function join(gateway, bridge, name = 'desktop-1') {
	const child = spawn(process.env.HELIX_REVDIAL_JOIN, [gateway.base, name, runner, String(bridge.port)],
		{ stdio: ['ignore', 'pipe', 'inherit'] });
	const c = { child, said: '' };
	const exit = new Promise((resolve) => child.on('exit', resolve));
	child.stdout.on('data', (d) => { c.said += d; });
	defer(async () => {
		child.kill('SIGTERM');
		assert.equal(await exit, 0);
	});
	await until('it is connected', () => c.said.endsWith('connected 0\n'));
	c.fds = () => fs.readdirSync(`/proc/${child.pid}/fd`).length;
	c.rssKiB = () => rssKiB(child.pid);
	return c;
}

async function echo(gateway, size = 100_000) {
	const ws = await gateway.stream('desktop-1', control);
	assert.ok(ws.socket, JSON.stringify(ws));
	for (let i = 0; i < 5; i++) {
		const data = crypto.randomBytes(size);
		ws.send(2, data);
		assert.ok((await ws.message()).data.equals(data));
	}
	return ws;
}

async function state(gateway) {
	return (await gateway.desktops())[0]?.state;
}

for (const [name, options] of [['websocket', {}], ['raw', { raw: true }], ['mixed', { raw: true, dataRaw: false }]]) {
	test(`another_client_${name}`, async () => {
		const { bridge, gateway } = await setUp();
		assert.deepEqual(await gateway.desktops(), []);
		const c = client(gateway, bridge, options);
		assert.equal(await c.connect(), options.raw ? 200 : 101);
		await until('keep-alive at once', () => c.commands.length > 0);
		assert.deepEqual(c.commands[0], { command: 'keep-alive' });
		assert.equal(await state(gateway), 'online');
		(await echo(gateway, 1_000_000)).destroy();
		assert.equal(c.commands[1].command, 'conn-ready');
		assert.match(c.commands[1].connPath, /^\/revdial\?revdial\.dialer=[0-9a-f]{32}&revdial\.req=[0-9a-f]{32}$/);
		assert.deepEqual(c.commands[2], { command: 'keep-alive' });
		const large = crypto.randomBytes(3_000_000);
		bridge.onRequest = (request, response) => response.end(large);
		const answer = await gateway.request('/api/v1/external-agents/desktop-1/screenshot', { token: control });
		assert.ok(answer.body.equals(large));
		await until('tunnels end with their connections', () => c.tunnels.size === 0);
		// Any splitting of lines, and unknown commands.
		const lines = '{"command":"what","x":[1,{"y":null}]}\n{"command":"keep-alive"}\n';
		for (const byte of lines) {
			c.say(byte);
		}
		(await echo(gateway)).destroy();
		c.say('nonsense\n');
		await until('it is closed', () => c.closed);
		assert.equal(await state(gateway), 'reconnecting');
	});
}

test('who_may_connect', async () => {
	const { bridge, gateway } = await setUp();
	const table = [[{ token: '' }, 401], [{ token: 'wrong' }, 401], [{ token: view }, 403], [{ token: control }, 403],
		[{ name: 'not-mine' }, 403], [{ name: '' }, 400], [{ name: '../x' }, 400], [{ name: 'x'.repeat(200) }, 400],
		[{ name: 'a b' }, 400]];
	for (const raw of [false, true]) {
		for (const [options, status] of table) {
			const c = client(gateway, bridge, { raw, ...options, name: encodeURIComponent(options.name ?? 'desktop-1') });
			assert.equal(await c.connect(), status, JSON.stringify(options));
		}
	}
	assert.deepEqual(await gateway.desktops(), []);
	const c = client(gateway, bridge);
	await c.connect();
	c.answerDials = false;
	const pending = gateway.stream('desktop-1', control);
	await until('a dial', () => c.commands.some((m) => m.command === 'conn-ready'));
	const path = c.commands.find((m) => m.command === 'conn-ready').connPath.replace('/revdial', '/api/v1/revdial');
	const dial = (p, token) => open(gateway.base + p, { Authorization: `Bearer ${token}` });
	assert.equal((await dial(path, 'wrong')).status, 401);
	assert.equal((await dial(path, control)).status, 403);
	assert.equal((await dial(path.replace(/dialer=./, 'dialer=x'), runner)).status, 500);
	assert.equal((await dial(path.replace(/dialer=\w+/, `dialer=${'0'.repeat(32)}`), runner)).status, 500);
	// Not known, or known and used already: closed right after the upgrade.
	const unknown = await dial(path.replace(/req=\w+/, `req=${'0'.repeat(32)}`), runner);
	await until('it is closed', () => unknown.ended);
	await c.dial(c.commands.find((m) => m.command === 'conn-ready').connPath);
	assert.ok((await pending).socket);
	const used = await dial(path, runner);
	await until('it is closed', () => used.ended);
	(await pending).destroy();
});

test('what_a_client_may_not_say', async () => {
	const { bridge, gateway } = await setUp();
	for (const bytes of [frame(1, '{"command":"keep-alive"}\n', { mask: true }), frame(2, '{}\n'), frame(2, '\n', { mask: true }),
		frame(2, '[]\n', { mask: true }), frame(2, '{"command":5}\n', { mask: true }), frame(2, 'x'.repeat(4096), { mask: true }),
		frame(2, `{"command":"keep-alive","x":"${'x'.repeat(4100)}"}\n`, { mask: true }),
		frame(2, '{"command":"keep-alive","command":"keep-alive"}\n', { mask: true }),
		frame(2, '['.repeat(4000) + '\n', { mask: true }), frame(2, 'x', { mask: true, rsv: 1 }), frame(8, '', { mask: true })]) {
		const c = client(gateway, bridge);
		assert.equal(await c.connect(), 101);
		c.control.write(bytes);
		await until('it is closed', () => c.closed);
	}
	const c = client(gateway, bridge);
	await c.connect();
	c.say('{"command":"pickup-failed"}\n{"command":"pickup-failed","connPath":"/revdial?revdial.dialer=x"}\n');
	(await echo(gateway)).destroy();
});

test('failed_pickups', async () => {
	const { bridge, gateway } = await setUp();
	const c = client(gateway, bridge);
	await c.connect();
	const { port } = bridge;
	await bridge.stop();
	assert.equal((await gateway.stream('desktop-1', control)).status, 502);
	await bridge.start(port);
	(await echo(gateway)).destroy();
	// Not more than a hundred wait.
	c.answerDials = false;
	const waiting = Array.from({ length: 103 }, () => gateway.stream('desktop-1', control));
	assert.equal((await Promise.race(waiting)).status, 503);
	await until('a hundred dials', () => c.commands.filter((m) => m.command === 'conn-ready').length === 102);
	for (const m of c.commands.filter((x) => x.command === 'conn-ready')) {
		c.fail(m.connPath, 'no "reason" at all\n');
	}
	const statuses = (await Promise.all(waiting)).map((r) => r.status).sort();
	assert.deepEqual([...new Set(statuses)], [502, 503]);
	assert.equal(statuses.filter((s) => s === 503).length, 3);
});

test('a_new_connection_replaces_the_old', async () => {
	const { bridge, gateway } = await setUp();
	const first = client(gateway, bridge), second = client(gateway, bridge);
	await first.connect();
	const ws = await echo(gateway);
	first.answerDials = false;
	const waiting = gateway.stream('desktop-1', control);
	await until('a dial', () => first.commands.filter((m) => m.command === 'conn-ready').length === 2);
	await second.connect();
	await until('the first is closed', () => first.closed);
	// What the first did not pick up, the second does; what runs goes on.
	assert.ok((await waiting).socket);
	ws.send(2, 'still');
	assert.equal((await ws.message()).data.toString(), 'still');
	assert.equal((await gateway.desktops()).length, 1);
	ws.destroy();
	(await waiting).destroy();
});

test('a_client_that_is_away_for_a_moment', async () => {
	const { bridge, gateway } = await setUp();
	const first = client(gateway, bridge);
	await first.connect();
	const ws = await echo(gateway);
	first.control.destroy();
	await until('it is missed', async () => await state(gateway) === 'reconnecting');
	const waiting = gateway.stream('desktop-1', control);
	await sleep(200);
	const second = client(gateway, bridge);
	await second.connect();
	assert.ok((await waiting).socket);
	assert.equal(await state(gateway), 'online');
	ws.send(2, 'still');
	assert.equal((await ws.message()).data.toString(), 'still');
	ws.destroy();
	(await waiting).destroy();
});

test('a_client_that_does_not_come_back', async () => {
	const { bridge, gateway } = await setUp();
	const c = client(gateway, bridge);
	await c.connect();
	const begin = Date.now();
	c.close();
	await until('it is missed', async () => await state(gateway) === 'reconnecting');
	const waiting = gateway.stream('desktop-1', control);
	assert.ok([503, 504].includes((await waiting).status));
	assert.deepEqual(await gateway.desktops(), []);
	const took = Date.now() - begin;
	assert.ok(took > 28000 && took < 34000, `${took} ms`);
	assert.equal((await gateway.stream('desktop-1', control)).status, 404);
});

test('a_bridge_behind_it_that_breaks', async () => {
	const { bridge, gateway } = await setUp();
	const c = client(gateway, bridge);
	await c.connect();
	const ws = await echo(gateway);
	bridge.viewers[0].socket.destroy();
	assert.equal(await ws.closed(), 1012);
	ws.destroy();
	(await echo(gateway)).destroy();
	const other = await echo(gateway);
	c.close(); // all of its connections
	assert.equal(await other.closed(), 1012);
	other.destroy();
});

test('a_token_taken_away', async () => {
	const { bridge, gateway } = await setUp();
	const c = client(gateway, bridge);
	await c.connect();
	fs.writeFileSync(gateway.tokensPath, tokenFile().replace(/^runner.*$/m, ''));
	gateway.process.kill('SIGHUP');
	await until('it is closed', () => c.closed);
	assert.deepEqual(await gateway.desktops(), []);
	assert.equal(await client(gateway, bridge).connect(), 401);
});

test('our_client', async () => {
	const { bridge, gateway } = await setUp();
	const ours = await join(gateway, bridge);
	const ws = await echo(gateway, 1_000_000);
	const large = crypto.randomBytes(5_000_000);
	bridge.onRequest = (request, response) => response.end(large);
	for (let i = 0; i < 3; i++) {
		const answer = await gateway.request('/api/v1/external-agents/desktop-1/screenshot', { token: control });
		assert.ok(answer.body.equals(large));
	}
	// The bridge restarts: 1012, and then as before.
	const { port } = bridge;
	await bridge.stop();
	assert.equal(await ws.closed(), 1012);
	assert.equal((await gateway.stream('desktop-1', control)).status, 502);
	await bridge.start(port);
	(await echo(gateway)).destroy();
	// The gateway restarts: the client comes back by itself.
	const again = await echo(gateway);
	await gateway.stop();
	assert.equal(await again.closed(), 1012);
	await until('it is lost', () => /lost -\d+\n$/.test(ours.said));
	await gateway.start();
	await until('it is back', () => ours.said.endsWith('connected 0\n'));
	(await echo(gateway)).destroy();
});

test('our_client_with_tls', async () => {
	const { bridge, gateway } = await setUp({ tls: true });
	await join(gateway, bridge);
	(await echo(gateway, 2_000_000)).destroy();
	const large = crypto.randomBytes(5_000_000);
	bridge.onRequest = (request, response) => response.end(large);
	const answer = await gateway.request('/api/v1/external-agents/desktop-1/screenshot', { token: control });
	assert.ok(answer.body.equals(large));
});

// Each is a handshake of its own, in whatever order the two ends come to act.
test('many_data_connections_with_tls', async () => {
	const { bridge, gateway } = await setUp({ tls: true });
	await join(gateway, bridge);
	for (let i = 0; i < 200; i += 10) {
		const statuses = await Promise.all(Array.from({ length: 10 }, async () =>
			(await gateway.request('/api/v1/external-agents/desktop-1/health', { token: control })).status));
		assert.deepEqual(statuses, Array(10).fill(200));
	}
	assert.equal(await gateway.metric('dials_failed_total'), 0);
}, 120);

test('our_client_leaves_nothing_behind', async () => {
	const { bridge, gateway } = await setUp();
	const ours = await join(gateway, bridge);
	const round = async (n) => {
		for (let i = 0; i < n; i += 10) {
			await Promise.all(Array.from({ length: 10 }, async () => {
				const ws = await gateway.stream('desktop-1', control);
				ws.send(2, Buffer.alloc(5000));
				await ws.message();
				ws.destroy();
			}));
			bridge.viewers.splice(0).forEach((v) => v.destroy());
		}
		await until('all are gone', async () => await gateway.metric('connections') === 2);
	};
	await round(100);
	const fds = [gateway.fds(), ours.fds()], rss = [gateway.rssKiB(), ours.rssKiB()];
	await round(500);
	assert.deepEqual([gateway.fds(), ours.fds()], fds);
	assert.ok(gateway.rssKiB() - rss[0] < 1000 && ours.rssKiB() - rss[1] < 1000);
}, 120);

test('a_slow_viewer_behind_revdial', async () => {
	const { bridge, gateway } = await setUp();
	const ours = await join(gateway, bridge);
	const slow = await gateway.stream('desktop-1', control);
	const before = [gateway.rssKiB(), ours.rssKiB()];
	slow.socket.pause();
	for (let i = 0; i < 50; i++) {
		bridge.viewers[0].send(2, Buffer.alloc(1_000_000, i));
	}
	await sleep(1000);
	assert.ok(bridge.viewers[0].socket.writableLength > 20_000_000);
	assert.ok(gateway.rssKiB() - before[0] < 4000 && ours.rssKiB() - before[1] < 4000);
	(await echo(gateway)).destroy();
	slow.socket.resume();
	for (let i = 0; i < 50; i++) {
		assert.equal((await slow.message(30000)).data[999_999], i);
	}
	slow.destroy();
});

test('our_client_against_a_strange_server', async () => {
	const bridge = await new Bridge().start();
	const answers = ['HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n', 'nonsense\r\n', '',
		'HTTP/1.1 101 X\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n', 'x'.repeat(10000)];
	let n = 0;
	const server = net.createServer((socket) => {
		socket.on('error', () => {});
		socket.once('data', () => socket.end(answers[Math.min(n++, answers.length - 1)]));
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	const child = spawn(process.env.HELIX_REVDIAL_JOIN,
		[`http://127.0.0.1:${server.address().port}`, 'desktop-1', runner, String(bridge.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
	const exit = new Promise((resolve) => child.on('exit', resolve));
	await until('it tries again and again', () => n === answers.length, 20000);
	child.kill('SIGTERM');
	assert.equal(await exit, 0);
	server.close();
});

await main();
