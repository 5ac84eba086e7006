// SPDX-License-Identifier: GPL-2.0-or-later
// The whole conversation of a viewer with the real programs, by an implementation that was written
// from docs/protocol/websocket.md and http.md alone: with desktop-bridge, then through helix-gateway.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { temporaryDirectory } from '../integration/gateway/gateway.mjs';
import { assert, main, sleep, test } from '../integration/gateway/tap.mjs';
import { control, inputMessages, inputScroll, inputTypes, nalUnits, ping, streamTypes, type } from './messages.mjs';
import { Rig, SHOW, Viewer } from './rig.mjs';

// A test for each way to the bridge.
function each(name, run, seconds) {
	test(name, () => run({}), seconds);
	test(`${name}_through_a_gateway`, () => run({ gateway: true }), seconds);
}

// Checks frames one by one, as section 4.1 has them.
class FrameChecker {
	constructor() {
		this.frames = 0;
		this.pts = 0;
	}

	take(frame) {
		const units = nalUnits(frame.unit), key = (frame.flags & 1) === 1;
		const types = units.map((u) => u.type);
		assert.equal(frame.codec, 1);
		assert.equal(frame.flags & ~1, 0);
		assert.ok(frame.pts > this.pts, 'pts increases');
		assert.deepEqual([frame.width, frame.height], [640, 400]);
		assert.ok(this.frames > 0 || key, 'the first one is a keyframe');
		assert.equal(types.includes(5), key);
		if (key) {
			const sps = units.find((u) => u.type === 7);
			assert.ok(types.indexOf(7) < types.indexOf(8) && types.indexOf(8) < types.indexOf(5), 'SPS, PPS, IDR');
			assert.equal(sps.profile, 66);
			assert.ok(sps.constraints & 0x40, 'Constrained Baseline');
		} else {
			assert.ok(types.includes(1));
		}
		this.pts = frame.pts;
		this.frames++;
	}
}

each('order', async (options) => {
	const rig = await new Rig().start(options);
	const ws = await rig.open();
	await sleep(300);
	assert.equal(ws.messages.length, 0, 'nothing comes before init');
	const v = new Viewer(ws).init({ session_id: 's', fps: 30, user_name: 'Ann', user_id: 'u1', avatar_url: 'http://a/b' });
	const init = await v.next();
	assert.deepEqual(init, { type: type.streamInit, codec: 1, width: 640, height: 400, fps: 30, channels: 0, rate: 0,
		touch: 1 });
	const connected = await v.next();
	assert.deepEqual(connected.json, { ConnectionComplete: { capabilities: { touch: true }, width: 640, height: 400 } });
	const self = await v.next();
	assert.equal(self.type, type.selfId);
	assert.ok(self.id >= 1);
	const joined = await v.next();
	assert.match(joined.colour, /^#[0-9A-Fa-f]{6}$/);
	assert.deepEqual(joined, { type: type.remoteUser, action: 1, id: self.id, name: 'Ann', colour: joined.colour,
		avatar: 'http://a/b' });
	for (let m = await v.next(); ; m = await v.next()) {
		if (m.type === type.video) {
			assert.equal(m.flags, 1);
			break;
		}
		assert.ok(m.type === type.cursorImage || m.type === type.cursorName, `type ${m.type} before the first frame`);
	}
	// Without a session there is nobody.
	const alone = await rig.viewer();
	assert.equal((await alone.next()).type, type.streamInit);
	assert.equal((await alone.next()).type, 'text');
	for (let m = await alone.next(); m.type !== type.video; m = await alone.next()) {
		assert.ok(m.type === type.cursorImage || m.type === type.cursorName);
	}
});

each('frames', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer();
	const checker = new FrameChecker();
	while (checker.frames < 60) {
		checker.take(await v.expect(type.video));
	}
	// pts is on the clock of Pong's server time.
	const { serverTime } = await v.pong();
	assert.ok(Math.abs(serverTime - checker.pts) < 5e6, 'one clock');
});

each('frame_times', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer({ extensions: ['frame-times', 'of the future'] });
	let times = null, before = null;
	for (let frames = 0; frames < 30;) {
		const m = await v.next();
		if (m.type === type.frameTimes) {
			assert.equal(times, null);
			times = m;
		} else if (m.type === type.video) {
			assert.equal(times?.pts, m.pts, 'directly before its frame');
			assert.ok(times.encodedUs <= times.arrivedUs && times.arrivedUs <= times.sentUs, 'one after the other');
			assert.ok(!before || times.sequence > before.sequence);
			before = times;
			times = null;
			frames++;
		} else {
			assert.equal(times, null, 'nothing comes between');
		}
	}
});

each('ping', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	await v.expect(type.video);
	let before = 0;
	for (let i = 0; i < 5; i++) {
		const pong = await v.pong();
		assert.ok(Math.abs(pong.serverTime / 1000 - Date.now()) < 60000, 'µs since 1970');
		assert.ok(pong.serverTime > before);
		assert.ok(pong.lateMedian <= pong.late99 && pong.late99 <= pong.lateMax);
		before = pong.serverTime;
	}
	// Extremes come back as they are.
	v.send(Buffer.from([type.ping, ...Array(12).fill(0xff)]));
	const raw = await v.ws.message();
	for (let m = raw; m.data[0] !== type.pong; m = await v.ws.message()) {
		assert.ok(!m.text);
	}
	// Of WebSocket itself: answered, with what it carries, also between the fragments of a message.
	const pongs = v.ws.pongs;
	v.ws.send(2, ping(99, 1).subarray(0, 4), { fin: false });
	v.ws.send(9, 'between');
	v.ws.send(0, ping(99, 1).subarray(4));
	await v.expect(type.pong, (m) => m.sequence === 99);
	assert.equal(v.ws.pongs, pongs + 1);
});

each('pause', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer();
	await v.expect(type.video, (m) => !(m.flags & 1));
	v.send(control({ set_video_enabled: false, unknown: 1 }));
	await v.pong();
	await sleep(300);
	v.ws.messages.length = 0; // what was on its way
	await sleep(700);
	assert.equal(v.ws.messages.length, 0);
	v.send(control({ set_video_enabled: true }));
	assert.equal((await v.expect(type.video)).flags & 1, 1, 'goes on with a keyframe');
	await v.expect(type.video, (m) => !(m.flags & 1));
});

each('presence', async (options) => {
	const rig = await new Rig().start(options);
	const a = await rig.viewer({ session_id: 's', user_name: 'Ann' });
	const { id } = await a.expect(type.selfId);
	const ann = await a.expect(type.remoteUser);
	const other = await rig.viewer({ session_id: 'another' });
	const b = await rig.viewer({ session_id: 's' });
	const second = (await b.expect(type.selfId)).id;
	assert.notEqual(second, id);
	const user = await b.expect(type.remoteUser);
	assert.deepEqual([user.id, user.name, user.action], [second, 'User', 1]);
	assert.deepEqual(await b.expect(type.remoteUser), ann);
	assert.deepEqual(await a.expect(type.remoteUser), user);
	// Also before the desktop's size is known: then it is that of init.
	const input = inputMessages(streamTypes);
	a.send(input.absolute(160, 300, 640, 400));
	assert.deepEqual(await b.expect(type.remoteCursor),
		{ type: type.remoteCursor, id, x: 160, y: 300, colour: ann.colour });
	a.send(input.touch(0, 3, 0.25, 0.5));
	const touch = await b.expect(type.remoteTouch);
	assert.deepEqual([touch.id, touch.event, touch.x, touch.y, touch.colour], [id, 0, 160, 200, ann.colour]);
	a.send(input.touch(2, 3, 0.25, 0.5));
	assert.equal((await b.expect(type.remoteTouch)).event, 2);
	const clients = JSON.parse((await rig.request('/clients')).body);
	const listed = clients.clients.find((c) => c.id === id);
	assert.deepEqual([listed.user_name, listed.color, listed.last_x, listed.last_y], ['Ann', ann.colour, 160, 300]);
	assert.ok(Date.parse(listed.last_seen) > Date.now() - 3600_000);
	b.ws.destroy();
	assert.deepEqual(await a.expect(type.remoteUser), { type: type.remoteUser, action: 0, id: second });
	// Another session sees nothing of all that.
	await other.pong();
	assert.ok(other.ws.messages.every((m) => m.text || m.data[0] !== type.remoteCursor));
});

each('superseded', async (options) => {
	const rig = await new Rig().start(options);
	const tab = { client_unique_id: 'tab-1', session_id: 's' };
	const first = await rig.viewer(tab);
	await first.expect(type.video);
	const elsewhere = await rig.viewer({ ...tab, session_id: 'another' });
	await elsewhere.expect(type.video);
	const second = await rig.viewer(tab);
	await second.expect(type.video);
	assert.equal(await first.ws.closed(), 4000);
	await second.pong();
	await elsewhere.pong();
});

each('bad_init', async (options) => {
	const rig = await new Rig().start(options);
	const silent = await rig.open();
	const begin = performance.now();
	for (const text of ['{}', '[]', 'init', '{"type":"hello"}', '{"type":1}', '']) {
		const ws = await rig.open();
		ws.send(1, text);
		assert.equal(await ws.closed(), 1008, text);
	}
	// Keys of wrong types are as if they were not there; binary messages before init are skipped.
	const v = new Viewer(await rig.open());
	v.send(ping(1, 1));
	v.send(inputMessages(streamTypes).key(30, 1));
	v.init({ width: 'wide', fps: null, session_id: 5, extensions: 'frame-times', user_name: [] });
	assert.equal((await v.next()).type, type.streamInit);
	v.ws.send(1, '{"type":"init"}');
	v.ws.send(1, 'more text');
	await v.pong();
	// In fragments.
	const parts = new Viewer(await rig.open());
	parts.ws.send(1, '{"type":', { fin: false });
	parts.ws.send(0, '"in', { fin: false });
	parts.ws.send(0, 'it"}');
	assert.equal((await parts.next()).type, type.streamInit);
	assert.equal(await silent.closed(), 1008);
	assert.ok(performance.now() - begin > 9000, 'within 10 s');
}, 120);

each('sizes_of_messages', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	v.send(Buffer.alloc(65536, 0x7f)); // of an unknown type
	v.send(Buffer.alloc(0));
	v.send(Buffer.from([type.ping, 1]));
	await v.pong();
	v.send(Buffer.alloc(65537, 0x7f));
	assert.equal(await v.ws.closed(), 1009);
});

each('input_on_the_stream', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	await v.expect(type.video);
	await inputConversation(rig, v, inputMessages(streamTypes));
	const m = inputMessages(streamTypes);
	// What makes no sense is ignored.
	for (const bad of [m.key(0, 1), m.button(0, 1), m.wheel(NaN, 1), m.absolute(1, 1, 0, 1), m.touch(0, 10, 0, 0),
		Buffer.from([0x15, 0, 0, 0, 0]), Buffer.from([0x17, 0, 0]), m.key(30, 1).subarray(0, 5)]) {
		v.send(bad);
	}
	v.send(m.key(44, 1));
	v.send(m.button(3, 1));
	await rig.expectInput('key 44 down', 'button 273 down');
	v.ws.destroy();
	await rig.expectInput('key 44 up', 'button 273 up');
});

each('input_socket', async (options) => {
	const rig = await new Rig().start(options);
	const v = new Viewer(await rig.open('/ws/input'));
	await inputConversation(rig, v, inputMessages(inputTypes));
	v.send(inputScroll(0, 1, 10, 20));
	await rig.expectInput('scroll 1.00 -2.00 fingers');
	v.send(inputScroll(1, 0, 0, 1));
	await rig.expectInput('scroll 0.00 -4.00 wheel');
	v.send(inputScroll(2, 1, 1, 1));
	await rig.expectInput('scroll 80.00 -60.00 fingers');
	v.send(inputMessages(inputTypes).key(44, 1));
	await rig.expectInput('key 44 down');
	assert.equal(v.ws.messages.length, 0, 'no answers');
	v.ws.destroy();
	await rig.expectInput('key 44 up');
});

// Sections 5.2 to 5.4, with what the desktop gets of each: keyboards of the layout "us".
async function inputConversation(rig, v, m) {
	for (const [message, ...lines] of [
		[m.key(30, 1), 'key 30 down'],
		[m.key(30, 0), 'key 30 up'],
		[m.keysym(0x62, 1), 'key 48 down'],
		[m.keysym(0x62, 0), 'key 48 up'],
		[m.tap(0x41, 1), 'key 42 down', 'key 30 down', 'key 30 up', 'key 42 up'],
		...[272, 274, 273, 275, 276].flatMap((code, i) => [
			[m.button(i + 1, 1), `button ${code} down`], [m.button(i + 1, 0), `button ${code} up`]]),
		[m.wheel(0, 100), 'scroll 0.00 15.00 fingers'],
		[m.coarseWheel(-1, 2), 'scroll -1.50 3.00 fingers'],
		[m.absolute(320, 100, 640, 400), 'absolute 0.5000 0.2500'],
		[m.absolute(-1, 1000, 640, 400), 'absolute 0.0000 1.0000'],
		[m.relative(-2, 3), 'relative -2.0 3.0'],
		[m.touch(0, 9, 0.5, 0.25), 'touch down 0 0.5000 0.2500'],
		[m.touch(1, 9, 0.75, 0.25), 'touch move 0 0.7500 0.2500'],
		[m.touch(2, 9, 0.75, 0.25), 'touch up 0 0.7500 0.2500'],
		[m.touch(0, 0, 0, 0), 'touch down 0 0.0000 0.0000'],
		[m.touch(3, 0, 0, 0), 'touch cancel 0 0.0000 0.0000'],
	]) {
		v.send(message);
		await rig.expectInput(...lines);
	}
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

each('http', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.still });
	const get = async (path, status = 200) => {
		const answer = await rig.request(path);
		assert.equal(answer.status, status, path);
		return answer;
	};
	assert.match((await get('/health')).body.toString(), /^OK/);
	const jpeg = await get('/screenshot');
	assert.equal(jpeg.headers['content-type'], 'image/jpeg');
	assert.deepEqual(jpegSize(jpeg.body), [640, 400]);
	const fine = await get('/screenshot?format=jpeg&quality=95');
	assert.deepEqual(jpegSize(fine.body), [640, 400]);
	assert.ok(fine.body.length > jpeg.body.length);
	for (const cursor of ['', '&include_cursor=false', '&include_cursor=0']) {
		const png = await get(`/screenshot?format=png${cursor}`);
		assert.equal(png.headers['content-type'], 'image/png');
		assert.deepEqual(pngSize(png.body), [640, 400]);
	}
	for (const bad of ['format=gif', 'quality=0', 'quality=101', 'quality=x']) {
		await get(`/screenshot?${bad}`, 400);
	}
	const v = await rig.viewer({ session_id: 's' });
	await v.expect(type.video);
	const stats = JSON.parse((await get('/video/stats')).body);
	const [source] = stats.sources;
	assert.equal(stats.sources.length, 1);
	for (const key of ['node_id', 'running', 'pending_stop', 'client_count', 'frames_received', 'frames_dropped',
		'gop_buffer_size', 'keyframes', 'keyframe_requests', 'bitrate', 'width', 'height']) {
		assert.ok(key in source, key);
	}
	assert.deepEqual([source.node_id, source.client_count, source.width, source.height], [SHOW.still, 1, 640, 400]);
	const [client] = source.clients ?? stats.clients;
	for (const key of ['client_id', 'buffer_used', 'buffer_size', 'buffer_pct', 'state', 'frames_sent', 'bytes_sent',
		'frames_skipped', 'stalls', 'pipeline_ms', 'link_bits_per_second']) {
		assert.ok(key in client, key);
	}
	assert.equal(client.state, 'streaming');
	assert.equal(JSON.parse((await get('/clients')).body).clients.length, 1);
	const metrics = (await get('/metrics')).body.toString();
	const names = [...metrics.matchAll(/^([a-z_]+)(\{[^}]*\})? /gm)].map((m) => m[1]);
	assert.ok(names.length > 10 && names.every((n) => n.startsWith('desktop_bridge_')));
	assert.ok(names.every((n) => metrics.includes(`# HELP ${n.replace(/_(bucket|sum|count)$/, '')}`)), 'each has its help');
	for (const path of ['/upload', '/file', '/exec', '/mcp', '/workspaces', '/workspace/files', '/workspace/status']) {
		await get(path, 501);
	}
	const post = await rig.request('/screenshot', { method: 'POST', headers: { 'Content-Length': 0 } });
	assert.equal(post.status, 405);
	// Handshakes that are none.
	assert.equal((await rig.open('/ws/stream', { 'Sec-WebSocket-Key': 'short' })).status, 400);
	assert.equal((await rig.request('/ws/stream')).status, 426);
	assert.equal((await rig.open('/ws/stream', { 'Sec-WebSocket-Version': '12' })).status, 426);
	assert.equal((await rig.open('/ws/stream', { Origin: 'https://elsewhere.example' })).status, 403);
	assert.equal((await rig.open('/ws/input', { Origin: 'null' })).status, 403);
	const own = await rig.open('/ws/stream', { Origin: new URL(rig.base).origin });
	assert.ok(own.socket, 'its own pages may');
	own.destroy();
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
	assert.equal((await rig.request('/')).body.toString(), 'page');
	for (const target of ['/../secret', '/%2e%2e/secret', '/js/../../secret', '/js/..%2f..%2fsecret', '/..%5csecret',
		'//../secret', '/%2fetc/passwd', '//etc/passwd', '/.hidden', '/%2ehidden', '/link', '/links/secret',
		'/index.html/../../secret', '/%', '/%zz', `/${'a/'.repeat(900)}`, '/js//']) {
		const answer = await rig.request(target);
		assert.ok([400, 404].includes(answer.status), `${target}: ${answer.status}`);
		assert.ok(!answer.body.includes('secret') && !answer.body.includes('root:'), target);
	}
});

await main();
