// SPDX-License-Identifier: GPL-2.0-or-later
// The whole conversation of a viewer with the real programs, by an implementation that was written from
// docs/protocol/websocket.md alone (client.mjs, which watches the rules): with desktop-bridge, then through helix-gateway.
import { temporaryDirectory } from '../integration/gateway/gateway.mjs';
import { assert, defer, main, sleep, test, until } from '../integration/gateway/tap.mjs';
import { Launcher } from './exporter.mjs';
import { encode, toInput, toStream } from './messages.mjs';
import { Rig, SHOW } from './rig.mjs';

// A test for each way to the bridge.
function each(name, run, seconds) {
	test(name, () => run({}), seconds);
	test(`${name}_through_a_gateway`, () => run({ gateway: true }), seconds);
}

async function order(options) {
	const rig = await new Rig().start(options);
	const v = await rig.connect();
	await sleep(300);
	assert.equal(v.count, 0, 'nothing comes before init');
	v.init({ session_id: 's', fps: 30, user_name: 'Ann', user_id: 'u1', avatar_url: 'http://a/b', width: 640, height: 400 });
	assert.deepEqual(await v.next(), { name: 'StreamInit', width: 640, height: 400, fps: 30, channels: 0, sampleRate: 0,
		touch: 1 });
	assert.deepEqual(await v.next(), { name: 'ConnectionComplete', capabilities: { touch: true }, width: 640, height: 400 });
	assert.equal((await v.next()).name, 'SelfId');
	const joined = await v.next();
	assert.deepEqual(joined, { name: 'RemoteUserJoined', client: v.id, user: 'Ann', colour: joined.colour,
		avatar: 'http://a/b' });
	await v.keyframe();
	// Without a session there is nobody; what is not said has its default.
	const alone = await rig.viewer();
	assert.deepEqual(await alone.next(), { name: 'StreamInit', width: 640, height: 400, fps: 60, channels: 0, sampleRate: 0,
		touch: 1 });
	await alone.keyframe();
	assert.deepEqual((await rig.json('/clients')).clients.map((c) => c.user_name), ['Ann', 'User']);
}

each('order', order);
test('order_when_the_bridge_calls_the_gateway', () => order({ gateway: 'revdial' }));

each('frames', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer({ extensions: ['frame-times', 'of the future', 7] });
	for (let frames = 0; frames < 60; frames++) {
		const frame = await v.expect('VideoFrame');
		assert.deepEqual([frame.width, frame.height], [640, 400]);
	}
	const pong = await v.ping();
	assert.ok(Math.abs(pong.serverTime - v.pts) < 10e6, 'pts is on the clock of Pong');
	// The extension is of one viewer: the other one's rules say that none comes.
	const plain = await rig.viewer();
	for (let frames = 0; frames < 10; frames++) {
		await plain.expect('VideoFrame');
	}
});

// A size that is not of whole macroblocks: the SPS crops.
test('frames_of_odd_sizes', async () => {
	const rig = await new Rig().start({ mode: '650x410' });
	const frame = await (await rig.viewer()).keyframe();
	assert.deepEqual([frame.width, frame.height], [650, 410]);
});

each('ping', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	await v.expect('VideoFrame');
	let before = 0;
	for (let i = 0; i < 5; i++) {
		const { serverTime } = await v.ping();
		assert.ok(Math.abs(serverTime / 1000 - Date.now()) < 60000, 'µs since 1970');
		assert.ok(serverTime > before);
		before = serverTime;
	}
	// Extremes come back as they are.
	for (const [sequence, time] of [[0, 0], [2 ** 32 - 1, 2n ** 64n - 1n]]) {
		v.say('Ping', { sequence, time });
		assert.equal((await v.expect('Pong', (m) => m.sequence === sequence)).clientTime, time);
	}
});

each('pause', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer({ extensions: ['frame-times'] });
	await v.expect('VideoFrame', (m) => !m.keyframe);
	v.say('Control', { value: { set_video_enabled: false, unknown: 1 } });
	await v.ping();
	// What makes no sense changes nothing.
	for (const value of [{ set_video_enabled: 1 }, { set_video_enabled: null }, [true], 'on', {}]) {
		v.say('Control', { value });
	}
	v.send(Buffer.from([toStream.Control.type, ...Buffer.from('{"set_video_enabled":true')]));
	await sleep(300);
	v.messages.length = 0; // what was on its way
	await v.ping();
	await sleep(700);
	assert.deepEqual(v.messages, []);
	v.say('Control', { value: { set_video_enabled: true } });
	assert.ok((await v.expect('VideoFrame')).keyframe, 'it goes on with a keyframe');
	// Again changes nothing; off and on at once is how a viewer asks for a keyframe.
	v.say('Control', { value: { set_video_enabled: true } });
	await v.ping();
	const { missed } = v.times;
	for (let frames = 0; frames < 30; frames++) {
		const frame = await v.expect('VideoFrame');
		assert.ok(!frame.keyframe || frame.times.missed > missed);
	}
	v.say('Control', { value: { set_video_enabled: false } });
	v.say('Control', { value: { set_video_enabled: true } });
	await v.keyframe();
});

each('presence', async (options) => {
	const rig = await new Rig().start(options);
	const size = { width: 640, height: 400 };
	const a = await rig.viewer({ ...size, session_id: 's', user_name: 'Ann' });
	const ann = await a.expect('RemoteUserJoined');
	const other = await rig.viewer({ session_id: 'another' });
	const b = await rig.viewer({ ...size, session_id: 's' });
	const bob = await b.expect('RemoteUserJoined');
	assert.deepEqual(await b.expect('RemoteUserJoined'), ann);
	assert.deepEqual(await a.expect('RemoteUserJoined'), bob);
	assert.deepEqual([bob.client, bob.user, bob.avatar], [b.id, 'User', '']);
	assert.notEqual(a.id, b.id);
	// Also before the desktop's size is known: then it is that of init.
	a.say('Absolute', { x: 160, y: 300, ...size });
	assert.deepEqual(await b.expect('RemoteCursor'),
		{ name: 'RemoteCursor', client: a.id, x: 160, y: 300, colour: ann.colour });
	for (const [event, said] of [[0, 0], [1, 1], [2, 2], [0, 0], [77, 3]]) {
		a.say('Touch', { event, slot: 3, x: 0.25, y: 0.5 });
		assert.deepEqual(await b.expect('RemoteTouch'), { name: 'RemoteTouch', client: a.id, touch: 3, event: said,
			x: 160, y: 200, pressure: 65535, colour: ann.colour });
	}
	const listed = (await rig.json('/clients')).clients.find((c) => c.id === a.id);
	assert.deepEqual([listed.user_name, listed.color, listed.last_x, listed.last_y], ['Ann', ann.colour, 160, 300]);
	assert.ok(Date.parse(listed.last_seen) > Date.now() - 3600_000);
	b.destroy();
	assert.deepEqual(await a.expect('RemoteUserLeft'), { name: 'RemoteUserLeft', client: b.id });
	// Another session sees nothing of all that.
	await other.ping();
	assert.ok(other.count > 4);
	// Texts are cut between characters.
	const long = await rig.viewer({ session_id: 's', user_name: 'é'.repeat(200), avatar_url: `a${'é'.repeat(1500)}` });
	await long.keyframe();
	const cut = await a.expect('RemoteUserJoined');
	assert.deepEqual([cut.client, cut.user, cut.avatar], [long.id, 'é'.repeat(127), `a${'é'.repeat(1023)}`]);
	assert.deepEqual((await rig.json('/clients')).clients.at(-1).user_name, cut.user);
});

each('superseded', async (options) => {
	const rig = await new Rig().start(options);
	const tab = { client_unique_id: 'tab-1', session_id: 's' };
	const watcher = await rig.viewer({ session_id: 's' });
	const first = await rig.viewer(tab);
	await first.keyframe();
	const elsewhere = await rig.viewer({ ...tab, session_id: 'another' });
	await elsewhere.keyframe();
	const second = await rig.viewer(tab);
	await second.keyframe();
	assert.equal(await first.closed(), 4000);
	await watcher.expect('RemoteUserJoined', (m) => m.client === second.id);
	await watcher.expect('RemoteUserLeft', (m) => m.client === first.id);
	await second.ping();
	await elsewhere.ping();
	// Without an id nobody is taken for another, and without a session the id counts all the same.
	const [nobody, nameless, unnamed] = [await rig.viewer(), await rig.viewer(), await rig.viewer({ client_unique_id: 'x' })];
	await unnamed.keyframe();
	await (await rig.viewer({ client_unique_id: 'x' })).keyframe();
	assert.equal(await unnamed.closed(), 4000);
	await nobody.ping();
	await nameless.ping();
});

each('bad_init', async (options) => {
	const rig = await new Rig().start(options);
	for (const text of ['{}', '[]', 'init', '{"type":"hello"}', '{"type":1}', '', '{"type":"init"', '{"type":"init"}{}']) {
		const v = await rig.connect();
		v.send(text);
		assert.equal(await v.closed(), 1008, text);
	}
	// Keys of wrong types are as if they were not there; binary messages before init are skipped.
	const v = await rig.connect();
	v.say('Ping', { sequence: 1, time: 1 });
	v.say('Key', { down: 1, modifiers: 0, code: 30 });
	v.init({ width: 'wide', fps: null, session_id: 5, extensions: 'frame-times', user_name: [], bitrate: {} });
	v.expectAnswersTo();
	assert.deepEqual([(await v.next()).fps, (await v.next()).name], [60, 'ConnectionComplete']);
	v.send('{"type":"init","session_id":"s","extensions":["clipboard"]}');
	v.send('more text');
	await v.ping();
	// Numbers are brought into range.
	const odd = await rig.viewer({ fps: 1e9, width: -1, height: 0.5, bitrate: -3 });
	assert.equal((await odd.next()).fps, 255);
	await odd.keyframe();
});

each('input_on_the_stream', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	await v.keyframe();
	await inputConversation(rig, v);
	await ignored(rig, v, toStream, [[toStream.Control.type], [toStream.Microphone.type, 0, 0], [0x15, 0, 0, 0, 0],
		[0x41, ...Array(28).fill(0)]]);
	v.say('Key', { down: 1, modifiers: 0, code: 44 });
	v.say('Button', { down: 1, button: 3 });
	await rig.expectInput('key 44 down', 'button 273 down');
	v.destroy();
	await rig.expectInput('key 44 up', 'button 273 up');
});

each('input_socket', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.input();
	await inputConversation(rig, v);
	for (const [values, line] of [
		[{ unit: 0, flags: 1, dx: 10, dy: 20 }, 'scroll 1.00 -2.00 fingers'],
		[{ unit: 1, flags: 0, dx: 0, dy: 1 }, 'scroll 0.00 -4.00 wheel'],
		[{ unit: 2, flags: 1, dx: 1, dy: 1 }, 'scroll 80.00 -60.00 fingers'],
	]) {
		v.say('Scroll', values);
		await rig.expectInput(line);
	}
	await ignored(rig, v, toInput, [encode(toInput, 'Scroll', { unit: 3, flags: 0, dx: 1, dy: 1 }),
		encode(toInput, 'Scroll', { unit: 0, flags: 0, dx: 1, dy: NaN }), [0x10, 0, 1, 0, 0, 30]]);
	v.send('{"type":"init"}');
	v.say('Key', { down: 1, modifiers: 0, code: 44 });
	await rig.expectInput('key 44 down');
	v.destroy();
	await rig.expectInput('key 44 up');
});

// Sections 5.2 to 5.4, with what the desktop gets of each: keyboards of the layout "us".
async function inputConversation(rig, v) {
	for (const [name, values, ...lines] of [
		['Key', { down: 1, modifiers: 0, code: 30 }, 'key 30 down'],
		['Key', { down: 0, modifiers: 255, code: 30 }, 'key 30 up'],
		['KeySym', { down: 1, modifiers: 0, keysym: 0x62 }, 'key 48 down'],
		['KeySym', { down: 0, modifiers: 0, keysym: 0x62 }, 'key 48 up'],
		['KeyTap', { modifiers: 1, keysym: 0x41 }, 'key 42 down', 'key 30 down', 'key 30 up', 'key 42 up'],
		['KeyTap', { modifiers: 6, keysym: 0x61 }, 'key 29 down', 'key 56 down', 'key 30 down', 'key 30 up', 'key 56 up',
			'key 29 up'],
		...[272, 274, 273, 275, 276, 277, 278, 279].flatMap((code, i) => [
			['Button', { down: 1, button: i + 1 }, `button ${code} down`],
			['Button', { down: 0, button: i + 1 }, `button ${code} up`]]),
		['Wheel', { dx: 0, dy: 100 }, 'scroll 0.00 15.00 fingers'],
		['WheelTens', { dx: -1, dy: 2 }, 'scroll -1.50 3.00 fingers'],
		['Absolute', { x: 320, y: 100, width: 640, height: 400 }, 'absolute 0.5000 0.2500'],
		['Absolute', { x: -1, y: 1000, width: 640, height: 400 }, 'absolute 0.0000 1.0000'],
		['Relative', { dx: -2, dy: 3 }, 'relative -2.0 3.0'],
		['Touch', { event: 0, slot: 9, x: 0.5, y: 0.25 }, 'touch down 0 0.5000 0.2500'],
		['Touch', { event: 1, slot: 9, x: 7, y: -7 }, 'touch move 0 1.0000 0.0000'],
		['Touch', { event: 2, slot: 9, x: 0.75, y: 0.25 }, 'touch up 0 0.7500 0.2500'],
		['Touch', { event: 0, slot: 0, x: 0, y: 0 }, 'touch down 0 0.0000 0.0000'],
		['Touch', { event: 3, slot: 0, x: 0, y: 0 }, 'touch cancel 0 0.0000 0.0000'],
	]) {
		v.say(name, values);
		await rig.expectInput(...lines);
	}
}

// Messages that make no sense, or are too short, or of unknown types: nothing comes of them, and the connection stays. Longer ones
// are as if they ended where they should.
async function ignored(rig, v, layouts, more) {
	const good = {
		Key: { down: 1, modifiers: 0, code: 30 }, KeySym: { down: 1, modifiers: 0, keysym: 0x61 },
		KeyTap: { modifiers: 0, keysym: 0x61 }, Button: { down: 1, button: 1 }, Wheel: { dx: 100, dy: 100 },
		WheelTens: { dx: 1, dy: 1 }, Absolute: { x: 1, y: 1, width: 2, height: 2 }, Relative: { dx: 1, dy: 1 },
		Touch: { event: 0, slot: 0, x: 0, y: 0 }, Scroll: { unit: 0, flags: 0, dx: 1, dy: 1 }, Ping: { sequence: 1, time: 1 },
	};
	for (const [name, values] of Object.entries(good).filter((entry) => entry[0] in layouts)) {
		const bytes = encode(layouts, name, values);
		for (let size = 0; size < bytes.length; size++) {
			v.send(bytes.subarray(0, size));
		}
	}
	for (const [name, wrong] of [['Key', { code: 0 }], ['Key', { code: 0x110 }], ['KeySym', { keysym: 0 }],
		['KeyTap', { keysym: 0 }], ['Button', { button: 0 }], ['Button', { button: 9 }], ['Wheel', { dx: NaN }],
		['Wheel', { dy: Infinity }], ['Absolute', { width: 0 }], ['Absolute', { height: -1 }], ['Touch', { slot: 10 }],
		['Touch', { x: NaN }], ['Touch', { y: -Infinity }]]) {
		v.say(name, { ...good[name], ...wrong });
	}
	for (const type of [layouts.Key.type, layouts.Button.type]) { // of unknown subtypes
		[1, 5, 255].forEach((subtype) => v.send(Buffer.from([type, subtype, ...Array(12).fill(1)])));
	}
	const known = new Set(Object.values(layouts).map((layout) => layout.type));
	Array.from({ length: 256 }, (_, type) => type).filter((type) => !known.has(type))
		.forEach((type) => v.send(Buffer.from([type, ...Array(12).fill(1)])));
	more.forEach((bytes) => v.send(Buffer.from(bytes)));
	await v.ping();
	v.send(Buffer.concat([encode(layouts, 'Key', { ...good.Key, code: 31 }), Buffer.from('and more')]));
	v.say('Key', { ...good.Key, down: 0, code: 31 });
	await rig.expectInput('key 31 down', 'key 31 up');
}

each('cursor', async (options) => {
	const rig = await new Rig().start({ ...options, splice: true });
	const v = await rig.viewer({ session_id: 's', extensions: ['cursor-position'] });
	const plain = await rig.viewer();
	await v.keyframe();
	await plain.keyframe();
	// One opaque pixel, and one half transparent.
	const shape = { x: -5, y: 50, hotX: 1, hotY: 0, width: 2, height: 1, pixels: [0x10, 0x20, 0x30, 0xff, 0, 0x40, 0x80, 0x80] };
	await rig.splice.cursorImage(shape);
	const image = await v.expect('CursorImage', (m) => m.pixels.length === 8);
	assert.deepEqual(image, { name: 'CursorImage', mover: 0, x: -5, y: 50, hotX: 1, hotY: 0, size: 24, width: 2, height: 1,
		stride: 8, pixels: Buffer.from([0x30, 0x20, 0x10, 0xff, 0xff, 0x80, 0, 0x80]) });
	assert.deepEqual(await plain.expect('CursorImage', (m) => m.pixels.length === 8), image);
	v.say('Absolute', { x: 1, y: 1, width: 2, height: 2 });
	await v.ping();
	await rig.splice.cursorPosition(300, 200);
	assert.deepEqual(await v.expect('CursorPosition'),
		{ name: 'CursorPosition', mover: v.id, x: 300, y: 200, hotX: 1, hotY: 0 });
	// Who moved it, and not who typed; nobody, if it was not a viewer.
	const input = await rig.input();
	for (const [who, name, values, mover] of [
		[input, 'Key', { down: 1, modifiers: 0, code: 30 }, v.id],
		[input, 'Relative', { dx: 1, dy: 1 }, 0], [v, 'Button', { down: 1, button: 1 }, 0], [v, 'Relative', { dx: 1, dy: 1 }, v.id]]) {
		who.say(name, values);
		await who.ping();
		await rig.splice.cursorPosition(mover, 7);
		assert.equal((await v.expect('CursorPosition', (m) => m.x === mover && m.y === 7)).mover, mover, name);
	}
	await rig.splice.cursorImage({});
	assert.deepEqual(await v.expect('CursorName'), { name: 'CursorName', mover: v.id, hotX: 0, hotY: 0, cursor: 'none' });
	await plain.expect('CursorName');
	await rig.splice.cursorImage(shape);
	assert.equal((await plain.expect('CursorImage')).mover, v.id, 'the shape comes anew');
	// Who comes later gets it, too.
	const later = await rig.viewer();
	assert.deepEqual((await later.expect('CursorImage')).pixels, image.pixels);
});

each('no_picture', async (options) => {
	const rig = await new Rig().start({ ...options, show: 99 });
	const v = await rig.viewer({ session_id: 's', width: 320, height: 240 });
	const { width, height } = await v.next();
	assert.deepEqual([width, height], [320, 240]);
	await v.expect('RemoteUserJoined');
	assert.notEqual((await v.expect('StreamError')).text, '');
	await sleep(3000); // it is tried again and again
	await v.ping();
	assert.equal(v.count, 6, 'once');
	assert.equal((await rig.request('/screenshot')).status, 500);
});

each('clipboard', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer({ extensions: ['clipboard'] });
	await v.keyframe();
	assert.deepEqual(await (await rig.viewer({ extensions: ['clipboard'] })).expect('Clipboard'),
		{ name: 'Clipboard', generation: 0, flags: 0 });
	const got = await rig.request('/clipboard');
	assert.deepEqual([got.status, JSON.parse(got.body)], [200, { type: 'text', data: '' }]);
	assert.ok(got.headers['helix-clipboard-error']);
	for (const body of ['{"type":"text","data":"a"}', 'nothing']) {
		assert.equal((await rig.request('/clipboard', { method: 'POST', body })).status, 501);
	}
});

each('bitrate', async (options) => {
	const rig = await new Rig().start(options);
	const asked = async (bitrate) => until(`${bitrate} bits/s`,
		async () => (await rig.json('/video/stats')).sources[0].bitrate === bitrate);
	await (await rig.viewer({ bitrate: 1500 })).keyframe();
	await asked(1500000);
	// All see one stream: that of who can take most.
	const better = await rig.viewer({ bitrate: 3000 });
	await better.keyframe();
	await asked(3000000);
	better.destroy();
	await asked(1500000);
	await (await rig.viewer()).keyframe();
	await asked(0);
});

each('resize', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const v = await rig.viewer();
	await v.keyframe();
	const resize = async (body) => {
		const answer = await rig.request('/resize', { method: 'POST', body: JSON.stringify(body) });
		return [answer.status, answer.status === 200 ? JSON.parse(answer.body) : undefined];
	};
	assert.deepEqual(await resize({ width: 640, height: 400 }), [200, { width: 640, height: 400 }], 'it has that');
	assert.deepEqual(await resize({ width: 800, height: 600 }), [501, undefined]);
	const launcher = new Launcher(rig.directory, rig.exporterPort, rig.show);
	for (const [width, height] of [[800, 600], [641, 401], [330, 200]]) {
		const size = { width: width & ~1, height: height & ~1 };
		assert.deepEqual(await resize({ width, height }), [200, size]);
		const frame = await v.expect('VideoFrame', (m) => m.width === size.width);
		assert.deepEqual([frame.keyframe, frame.height], [true, size.height]);
	}
	assert.deepEqual(launcher.asked, ['800x600', '640x400', '330x200']);
	assert.equal((await (await rig.viewer()).next()).width, 330);
	for (const wrong of [{}, [], { width: 800 }, { width: 800, height: '600' }, { width: 319, height: 600 },
		{ width: 800, height: 8193 }, { width: 800.5, height: 600 }]) {
		assert.deepEqual(await resize(wrong), [400, undefined], JSON.stringify(wrong));
	}
	assert.equal((await resize({ width: 800, height: 600, more: 'x'.repeat(1024) }))[0], 413);
	launcher.answer = 'error it is broken\n';
	assert.equal((await resize({ width: 900, height: 600 }))[0], 500);
	launcher.answer = 'unable it does not\n';
	assert.equal((await resize({ width: 900, height: 600 }))[0], 501);
	// Of those that wait the newest is kept.
	launcher.answer = undefined;
	let go;
	launcher.before = () => new Promise((resolve) => { go = resolve; });
	const first = resize({ width: 700, height: 600 });
	await until('it is under way', () => go);
	const second = resize({ width: 720, height: 600 });
	await sleep(200);
	const third = resize({ width: 740, height: 600 });
	assert.deepEqual(await second, [409, undefined]);
	launcher.before = undefined;
	go();
	assert.deepEqual([await first, await third], [[200, { width: 700, height: 600 }], [200, { width: 740, height: 600 }]]);
	await v.expect('VideoFrame', (m) => m.width === 740);
});

// A sine from a real PipeWire, and a viewer's voice into it: test-bridge-sound and browser-sound look at what is in them.
if (process.env.HELIX_SOUND_PLAYER) {
	each('sound', async (options) => {
		const { startPipewire } = await import('../browser/pipewire.js');
		const pipewire = await startPipewire({
			temporary: async () => temporaryDirectory(),
			own: (thing) => {
				defer(() => thing.stop());
				return thing;
			},
		});
		const rig = await new Rig().start({ ...options, directory: pipewire.directory });
		const plain = await rig.viewer(); // its rules say that it hears nothing
		const early = await rig.viewer({ extensions: ['audio'] });
		await early.keyframe();
		const v = await rig.connect();
		pipewire.play(440);
		v.init({ extensions: ['audio', 'microphone'] });
		await v.expect('VideoFrame');
		const heard = [];
		for (let i = 0; i < 50; i++) {
			heard.push((await v.expect('AudioFrame')).pts);
		}
		const steps = heard.slice(1).map((pts, i) => pts - heard[i]);
		assert.ok(steps.filter((step) => Math.abs(step - 10000) < 3000).length > 25, `10 ms each: ${steps}`);
		const { serverTime } = await v.ping();
		assert.ok(Math.abs(serverTime - heard.at(-1)) < 10e6, 'on the clock of Pong');
		await early.expect('AudioFrame');
		// Off, and on again.
		v.say('Control', { value: { set_audio_enabled: false } });
		await v.ping();
		await sleep(300);
		v.messages.length = 0;
		await sleep(500);
		assert.ok(v.messages.every((m) => m.name !== 'AudioFrame'));
		v.say('Control', { value: { set_audio_enabled: true } });
		await v.expect('AudioFrame');
		const known = (await (await rig.viewer({ extensions: ['audio'] })).next());
		assert.deepEqual([known.channels, known.sampleRate], [2, 48000]);
		// A microphone appears with the first message that is one, of who asked.
		const spoken = async () => Number(/^desktop_bridge_microphone_samples_total (\d+)$/m
			.exec((await rig.request('/metrics')).body)[1]);
		plain.say('Microphone', { samples: Array(960).fill(1) });
		v.send(Buffer.from([toStream.Microphone.type]));
		v.send(Buffer.from([toStream.Microphone.type, 1, 2, 3]));
		v.say('Microphone', { samples: Array(4801).fill(1) });
		await plain.ping();
		await v.ping();
		assert.equal(await spoken(), 0);
		v.say('Microphone', { samples: Array(4800).fill(1) });
		v.say('Microphone', { samples: [-1] });
		await v.ping();
		assert.equal(await spoken(), 4801);
	}, 120);
}

await main();
