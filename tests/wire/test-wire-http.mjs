// SPDX-License-Identifier: GPL-2.0-or-later
// The routes of docs/protocol/http.md, with desktop-bridge and through helix-gateway, and who may what there (gateway.md).
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { temporaryDirectory, tokens } from '../integration/gateway/gateway.mjs';
import { assert, main, test, until } from '../integration/gateway/tap.mjs';
import { Rig, SHOW } from './rig.mjs';
import { request } from './websocket.mjs';

function each(name, run, seconds) {
	test(name, () => run({}), seconds);
	test(`${name}_through_a_gateway`, () => run({ gateway: true }), seconds);
}

function pngSize(data) {
	assert.deepEqual([...data.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
	const parts = [];
	for (let at = 8; at < data.length;) {
		const size = data.readUInt32BE(at), name = data.toString('latin1', at + 4, at + 8);
		parts.push(...(name === 'IDAT' ? [data.subarray(at + 8, at + 8 + size)] : []));
		at += 12 + size;
		assert.equal(name === 'IEND', at === data.length);
	}
	const [width, height, channels] = [data.readUInt32BE(16), data.readUInt32BE(20), data[25] === 6 ? 4 : 3];
	assert.equal(zlib.inflateSync(Buffer.concat(parts)).length, height * (1 + channels * width));
	return [width, height];
}

function jpegSize(data) {
	assert.equal(data.readUInt16BE(0), 0xffd8);
	assert.equal(data.readUInt16BE(data.length - 2), 0xffd9);
	for (let at = 2; ; at += 2 + data.readUInt16BE(at + 2)) {
		assert.equal(data[at], 0xff);
		if (data[at + 1] === 0xc0 || data[at + 1] === 0xc2) {
			return [data.readUInt16BE(at + 7), data.readUInt16BE(at + 5)];
		}
	}
}

each('screenshot', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.still });
	const get = async (query, type) => {
		const answer = await rig.request(`/screenshot${query}`);
		assert.deepEqual([answer.status, answer.headers['content-type'], answer.headers['cache-control']],
			[200, type, 'no-store'], query);
		return answer.body;
	};
	const jpeg = await get('', 'image/jpeg'), fine = await get('?format=jpeg&quality=95', 'image/jpeg');
	assert.deepEqual([jpegSize(jpeg), jpegSize(fine)], [[640, 400], [640, 400]]);
	assert.ok(fine.length > jpeg.length);
	for (const cursor of ['', '&include_cursor=false', '&include_cursor=0']) {
		assert.deepEqual(pngSize(await get(`?format=png${cursor}`, 'image/png')), [640, 400]);
	}
	for (const bad of ['format=gif', 'quality=0', 'quality=101', 'quality=x']) {
		assert.equal((await rig.request(`/screenshot?${bad}`)).status, 400);
	}
});

each('what_goes_on', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.still });
	const v = await rig.viewer({ session_id: 's', user_id: 'u' });
	await v.keyframe();
	const stats = await rig.json('/video/stats');
	const [source] = stats.sources;
	assert.equal(stats.sources.length, 1);
	assert.equal(stats.session_id, 's');
	for (const key of ['running', 'pending_stop', 'frames_received', 'frames_dropped', 'gop_buffer_size', 'keyframes',
		'keyframe_requests', 'bitrate']) {
		assert.ok(key in source, key);
	}
	assert.deepEqual([source.node_id, source.client_count, source.width, source.height], [SHOW.still, 1, 640, 400]);
	const [client] = source.clients;
	for (const key of ['buffer_used', 'buffer_size', 'buffer_pct', 'frames_sent', 'bytes_sent', 'frames_skipped', 'stalls',
		'pipeline_ms', 'link_bits_per_second']) {
		assert.ok(Number.isInteger(client[key]), key);
	}
	assert.deepEqual([client.client_id, client.state], [v.id, 'streaming']);
	const { session_id: session, clients } = await rig.json('/clients');
	assert.deepEqual([session, clients.map((c) => [c.id, c.user_id, c.user_name, c.avatar_url, c.last_x, c.last_y])],
		['s', [[v.id, 'u', 'User', '', 0, 0]]]);
	const metrics = (await rig.request('/metrics')).body.toString();
	const names = [...metrics.matchAll(/^([a-z_]+)(\{[^}]*\})? /gm)].map((m) => m[1]);
	assert.ok(names.length > 10 && names.every((n) => n.startsWith('desktop_bridge_')));
	assert.ok(names.every((n) => metrics.includes(`# HELP ${n.replace(/_(bucket|sum|count)$/, '')}`)), 'each has its help');
});

each('methods', async (options) => {
	const rig = await new Rig().start(options);
	const status = async (method, target, headers = {}) => {
		const body = ['GET', 'HEAD'].includes(method) ? undefined : '{}';
		const answer = await rig.request(target, { method, headers, body });
		assert.equal(answer.headers['x-content-type-options'], 'nosniff', target);
		assert.ok(answer.status < 400 || method === 'HEAD' || /^text\/plain/.test(answer.headers['content-type']), target);
		return [answer.status, answer.headers.allow];
	};
	for (const method of ['GET', 'HEAD', 'POST', 'PUT']) {
		assert.deepEqual(await status(method, '/health'), [200, undefined]);
		assert.deepEqual(await status(method, '/upload'), [501, undefined]);
	}
	const read = 'GET, HEAD';
	for (const [target, allow, first] of [['/screenshot', read, 200], ['/clients', read, 200], ['/video/stats', read, 200],
		['/metrics', read, 200], ['/clipboard', `${read}, POST`, 200], ['/nothing', read, 404]]) {
		assert.deepEqual([await status('GET', target), await status('HEAD', target), await status('DELETE', target)],
			[[first, undefined], [first, undefined], [405, allow]], target);
	}
	assert.deepEqual(await status('GET', '/resize'), [405, 'POST']);
	for (const target of ['/upload', '/file', '/exec', '/mcp', '/workspaces', '/workspace/review', '/workspace/files',
		'/workspace/file', '/workspace/status', '/workspace/commit-and-push', '/workspace/checkpoints/capture',
		'/workspace/checkpoints/diff']) {
		assert.deepEqual(await status('GET', target), [501, undefined]);
	}
	// Pages of other sites.
	for (const [method, target] of [['POST', '/clipboard'], ['POST', '/resize'], ['POST', '/health'], ['POST', '/upload']]) {
		assert.equal((await status(method, target, { Origin: 'https://elsewhere.example' }))[0], 403, target);
	}
	assert.equal((await status('GET', '/health', { Origin: 'https://elsewhere.example' }))[0], 200);
	assert.equal((await status('POST', '/health', { Origin: new URL(rig.base).origin }))[0], 200);
});

each('handshakes_that_are_none', async (options) => {
	const rig = await new Rig().start(options);
	for (const target of ['/ws/stream', '/ws/input']) {
		for (const [status, headers] of [
			[426, { Upgrade: undefined }], [426, { Connection: 'close' }], [426, { Upgrade: 'h2c' }],
			[426, { 'Sec-WebSocket-Version': '12' }], [426, { 'Sec-WebSocket-Version': undefined }],
			[400, { 'Sec-WebSocket-Key': 'short' }], [400, { 'Sec-WebSocket-Key': undefined }],
			[403, { Origin: 'https://elsewhere.example' }], [403, { Origin: 'null' }],
			[403, { Origin: `${new URL(rig.base).origin}.example` }],
		]) {
			const answer = await rig.refused(target, headers);
			assert.equal(answer.status, status, `${target} ${JSON.stringify(headers)}`);
			if (status === 426) {
				assert.ok(answer.headers.upgrade === 'websocket' || answer.headers['sec-websocket-version'] === '13');
			}
		}
		assert.equal((await rig.request(target)).status, 426);
	}
	await (await rig.viewer({}, { headers: { Origin: new URL(rig.base).origin } })).keyframe();
	await (await rig.input({ headers: { Origin: new URL(rig.base).origin.toUpperCase().replace('HTTP', 'http') } })).ping();
	assert.ok([405, 426].includes((await rig.request('/ws/stream', { method: 'POST', body: '' })).status));
});

// Of the bridge's own files; those of the gateway are in test-gateway-http.mjs.
test('nothing_but_files', async () => {
	const dir = temporaryDirectory(), web = path.join(dir, 'web');
	fs.mkdirSync(path.join(web, 'js'), { recursive: true });
	fs.writeFileSync(path.join(web, 'index.html'), 'page');
	fs.writeFileSync(path.join(web, '.hidden'), 'secret');
	fs.writeFileSync(path.join(dir, 'secret'), 'secret');
	fs.symlinkSync(path.join(dir, 'secret'), path.join(web, 'link'));
	fs.symlinkSync(dir, path.join(web, 'links'));
	const rig = await new Rig().start({ webRoot: web });
	const page = await rig.request('/');
	assert.equal(page.body.toString(), 'page');
	const again = await rig.request('/', { headers: { 'If-None-Match': page.headers.etag } });
	assert.deepEqual([again.status, again.body.length], [304, 0]);
	for (const target of ['/../secret', '/%2e%2e/secret', '/js/../../secret', '/js/..%2f..%2fsecret', '/..%5csecret',
		'//../secret', '/%2fetc/passwd', '//etc/passwd', '/.hidden', '/%2ehidden', '/link', '/links/secret',
		'/index.html/../../secret', '/%', '/%zz', `/${'a/'.repeat(900)}`, '/js//']) {
		const answer = await rig.request(target);
		assert.ok([400, 404].includes(answer.status), `${target}: ${answer.status}`);
		assert.ok(!answer.body.includes('secret') && !answer.body.includes('root:'), target);
	}
});

// Who asks: nobody, somebody unknown, somebody without this desktop, somebody who may only look, somebody who may all.
test('tokens', async () => {
	const rig = await new Rig().start({ gateway: true });
	const as = (token) => ({ Authorization: token && `Bearer ${token}` });
	const http = [['GET', '/health'], ['GET', '/screenshot'], ['GET', '/clients'], ['GET', '/video/stats'], ['GET', '/clipboard'],
		['GET', '/metrics'], ['GET', '/'], ['POST', '/clipboard'], ['POST', '/resize'], ['POST', '/health']];
	for (const [token, expected] of [
		[undefined, http.map(() => 401)], ['wrong', http.map(() => 401)], [tokens.other, http.map(() => 403)],
		[tokens.runner, http.map(() => 403)], [tokens.view, [200, 200, 200, 200, 403, 403, 403, 403, 403, 403]],
		[tokens.control, [200, 200, 200, 200, 200, 200, 404, 501, 400, 200]],
	]) {
		const got = [];
		for (const [method, target] of http) {
			const answer = await rig.request(target, { method, headers: as(token), body: method === 'POST' ? '{}' : undefined });
			assert.equal(answer.headers['www-authenticate'], answer.status === 401 ? 'Bearer' : undefined);
			got.push(answer.status);
		}
		assert.deepEqual(got, expected, token);
	}
	for (const [token, stream, input] of [[undefined, 401, 401], ['wrong', 401, 401], [tokens.other, 403, 403],
		[tokens.runner, 403, 403]]) {
		assert.deepEqual([(await rig.refused('/ws/stream', as(token))).status, (await rig.refused('/ws/input', as(token))).status],
			[stream, input], token);
	}
	assert.equal((await rig.refused('/ws/input', as(tokens.view))).status, 403);
	await (await rig.input()).ping();
	// Of desktops that do not exist only who may see them learns.
	const elsewhere = `${rig.gateway.base}/api/v1/external-agents/desktop-9/health`;
	for (const [token, status] of [[undefined, 401], [tokens.other, 403], [tokens.view, 404], [tokens.control, 404]]) {
		assert.equal((await request(elsewhere, { headers: as(token) })).status, status);
	}
});

test('who_may_only_look', async () => {
	const rig = await new Rig().start({ gateway: true, show: SHOW.drag });
	const headers = { Authorization: `Bearer ${tokens.view}` };
	const v = await rig.viewer({ session_id: 's', extensions: ['clipboard', 'microphone'] }, { headers });
	await v.expect('Clipboard');
	await v.keyframe();
	for (const [name, values] of [['Key', { down: 1, modifiers: 0, code: 30 }], ['Button', { down: 1, button: 1 }],
		['Absolute', { x: 1, y: 1, width: 2, height: 2 }], ['Touch', { event: 0, slot: 0, x: 0, y: 0 }],
		['Microphone', { samples: [1] }]]) {
		v.say(name, values);
		v.say(name, values, { pieces: [0, 1] });
	}
	v.send(Buffer.alloc(0));
	await v.ping();
	// The first byte decides, if the first fragment has it; else the message vanishes.
	const paused = async () => (await rig.json('/video/stats')).sources[0].clients[0].state === 'paused';
	v.say('Control', { value: { set_video_enabled: false } }, { pieces: [0, 1] });
	await v.ping();
	assert.equal(await paused(), false);
	v.say('Control', { value: { set_video_enabled: false } }, { pieces: [1, 0, 5] });
	await v.ping();
	assert.equal(await paused(), true);
	v.say('Control', { value: { set_video_enabled: true } });
	await v.keyframe();
	const controller = await rig.viewer();
	await controller.keyframe();
	controller.say('Key', { down: 1, modifiers: 0, code: 31 });
	await rig.expectInput('key 31 down');
});

test('superseded_by_the_client_id', async () => {
	const rig = await new Rig().start({ gateway: true });
	const open = () => rig.viewer({}, { path: '/ws/stream?client_id=0f3a' });
	const first = await open();
	await first.keyframe();
	const second = await open();
	await second.keyframe();
	assert.equal(await first.closed(), 4000);
	const other = await rig.viewer({}, { path: '/ws/stream?client_id=0f3a', headers: { Authorization: `Bearer ${tokens.view}` } });
	await other.keyframe();
	await second.ping();
	// A token that is taken back.
	fs.writeFileSync(rig.gateway.tokensPath, fs.readFileSync(rig.gateway.tokensPath, 'utf8').replace(/^user bob .*$/m, ''));
	rig.gateway.process.kill('SIGHUP');
	assert.equal(await other.closed(), 1008);
	await second.ping();
	// A bridge that breaks.
	const listed = async () => (await rig.gateway.desktops()).find((d) => d.id === 'desktop-1');
	await until('one is counted', async () => (await listed()).viewers === 1);
	rig.bridge.child.kill('SIGTERM');
	assert.equal(await second.closed(), 1012);
});

test('the_cookie', async () => {
	const rig = await new Rig().start({ gateway: true });
	const login = (target, token) => request(rig.gateway.base + target, { method: 'POST', body: `token=${token}`,
		headers: { 'Content-Type': 'application/x-www-form-urlencoded' } });
	assert.deepEqual([(await login('/login', 'wrong')).status, (await login('/api/v1/login', 'wrong')).status], [401, 401]);
	const page = await login('/login', tokens.control);
	assert.deepEqual([page.status, page.headers.location], [303, '/']);
	const answer = await login('/api/v1/login', tokens.control);
	assert.equal(answer.status, 204);
	const [cookie, ...flags] = answer.headers['set-cookie'].split('; ');
	assert.match(cookie, /^helix_session=./);
	assert.ok(flags.includes('HttpOnly') && flags.includes('SameSite=Lax') && flags.includes(`Max-Age=${12 * 3600}`));
	const headers = { Authorization: undefined, Cookie: cookie };
	await (await rig.viewer({}, { headers })).keyframe();
	assert.equal((await rig.request('/health', { headers: { ...headers, Authorization: 'Bearer wrong' } })).status, 401,
		'the token counts');
	assert.equal((await rig.refused('/ws/stream', { ...headers, Origin: 'https://elsewhere.example' })).status, 403);
	const ask = (target, accept) => request(rig.gateway.base + target, { headers: { Accept: accept } });
	const asked = await ask('/', 'text/html');
	assert.deepEqual([asked.status, asked.headers.location], [303, '/login']);
	assert.deepEqual([(await ask('/', '*/*')).status, (await ask('/health', '*/*')).status, (await ask('/login', '*/*')).status],
		[401, 200, 200]);
	assert.equal((await request(`${rig.gateway.base}/api/v1/logout`, { method: 'POST', headers: { Cookie: cookie } })).status, 204);
	const chunked = await request(`${rig.gateway.base}/api/v1/login`, { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' },
		body: '0\r\n\r\n' });
	assert.equal(chunked.status, 411);
});

await main();
