// SPDX-License-Identifier: GPL-2.0-or-later
// RFC 6455 as docs/protocol/websocket.md promises it, byte by byte, with desktop-bridge and through helix-gateway.
import { assert, main, sleep, test } from '../integration/gateway/tap.mjs';
import { encode, toStream } from './messages.mjs';
import { Rig, SHOW } from './rig.mjs';
import { closePayload, frame, op } from './websocket.mjs';

function each(name, run, seconds) {
	test(name, () => run({}), seconds);
	test(`${name}_through_a_gateway`, () => run({ gateway: true }), seconds);
}

const pingOf = (sequence) => encode(toStream, 'Ping', { sequence, time: 1 });
const key = (code, down) => encode(toStream, 'Key', { down, modifiers: 0, code });

each('cut_at_every_byte', async (options) => {
	const rig = await new Rig().start(options);
	const init = frame(op.text, '{"type":"init","session_id":"s","user_name":"Änne"}');
	const v = await rig.connect();
	v.expectAnswersTo({ session_id: 's' });
	// The whole of a conversation, byte by byte.
	await v.writePieces(Buffer.concat([init, frame(op.binary, pingOf(1)), frame(op.binary, key(30, 1)),
		frame(op.binary, key(30, 0)), frame(op.binary, pingOf(2))]),
	Array.from({ length: 160 }, (_, i) => i + 1));
	await v.expect('RemoteUserJoined', (m) => m.user === 'Änne');
	await v.expect('Pong', (m) => m.sequence === 1);
	await rig.expectInput('key 30 down', 'key 30 up');
	await v.expect('Pong', (m) => m.sequence === 2);
	// In two, at each place; and long ones, whose heads have other lengths.
	let sequence = 2;
	const long = (size) => frame(op.binary, Buffer.concat([pingOf(++sequence), Buffer.alloc(size)]));
	for (const make of [() => long(0), () => frame(op.binary, key(30, sequence & 1)), () => long(200), () => long(65523)]) {
		for (let at = 1; at < 28; at++) {
			const bytes = make();
			await v.writePieces(bytes, [Math.min(at, bytes.length - 1)]);
		}
		await v.writePieces(make(), [make().length - 1]);
		v.send(pingOf(++sequence));
		await v.expect('Pong', (m) => m.sequence === sequence);
	}
});

each('fragments', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.connect();
	const init = JSON.stringify({ type: 'init', user_name: 'Ä' });
	v.expectAnswersTo();
	v.send(init, { pieces: Array(Buffer.byteLength(init)).fill(1) });
	await v.expect('StreamInit');
	v.send(pingOf(1), { pieces: [0, 1, 0, 5] });
	await v.expect('Pong', (m) => m.sequence === 1);
	// WebSocket's own ping is answered at once, also within a message.
	for (let at = 0; at <= 13; at++) {
		v.write(frame(op.binary, pingOf(100 + at).subarray(0, at), { fin: false }));
		v.write(frame(op.ping, `between ${at}`));
		await v.until('a pong', () => v.pongs.includes(`between ${at}`));
		v.write(frame(op.pong, 'nobody asked'));
		v.write(frame(op.continuation, pingOf(100 + at).subarray(at)));
		await v.expect('Pong', (m) => m.sequence === 100 + at);
	}
	v.write(frame(op.ping, 'x'.repeat(125)));
	v.write(frame(op.ping));
	await v.until('pongs', () => v.pongs.includes('x'.repeat(125)) && v.pongs.includes(''));
});

each('sizes', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer();
	v.send(Buffer.alloc(65536, 0x7f)); // of an unknown type
	v.send(Buffer.alloc(65536, 0x7f), { pieces: [40000, 20000] });
	v.send(Buffer.alloc(0));
	await v.ping();
	const [whole, parts, said, input] = [await rig.viewer(), await rig.viewer(), await rig.viewer(), await rig.input()];
	whole.send(Buffer.alloc(65537, 0x7f));
	parts.send(Buffer.alloc(65537, 0x7f), { pieces: [40000, 20000] });
	// As soon as the length is said; a gateway passes on what is there.
	const bytes = frame(op.binary, Buffer.alloc(65537));
	said.write(bytes.subarray(0, 20));
	if (options.gateway) {
		said.write(bytes.subarray(20));
	}
	input.send(Buffer.alloc(4096, 0x7f));
	await input.ping();
	input.send(Buffer.alloc(4097, 0x7f));
	assert.deepEqual(await Promise.all([whole, parts, said, input].map((socket) => socket.closed())), Array(4).fill(1009));
	await v.ping();
});

each('violations', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.drag });
	const other = await rig.viewer();
	const bad = [
		[1002, 'no mask', frame(op.binary, pingOf(1), { masked: false })],
		[1002, 'reserved bits', frame(op.binary, pingOf(1), { reserved: 4 })],
		[1002, 'opcode 3', frame(3, 'x')],
		[1002, 'opcode 11', frame(11, 'x')],
		[1002, 'a long ping', frame(op.ping, 'x'.repeat(126))],
		[1002, 'a ping in fragments', frame(op.ping, 'x', { fin: false })],
		[1002, 'a continuation of nothing', frame(op.continuation, 'x')],
		[1002, 'a message within one', Buffer.concat([frame(op.binary, 'x', { fin: false }), frame(op.binary, 'x')])],
		[1002, 'a length in too many bytes', frame(op.binary, pingOf(1), { form: 2 })],
		[1002, 'a length in far too many bytes', frame(op.binary, pingOf(1), { form: 8 })],
		[1002, 'a close that must not be sent', frame(op.close, closePayload(1005))],
		[1002, 'a close of no known meaning', frame(op.close, closePayload(999))],
		[1007, 'text that is not UTF-8', frame(op.text, Buffer.from([0x22, 0xc3, 0x28, 0x22]))],
		[1007, 'text that ends within a character', frame(op.text, Buffer.from([0x22, 0xc3]))],
		[1007, 'a close with such a reason', frame(op.close, Buffer.from([3, 232, 0xff]))],
	];
	await Promise.all(bad.map(async ([code, what, bytes]) => {
		const v = await rig.viewer();
		await v.keyframe();
		v.write(bytes);
		assert.equal(await v.closed(), code, what);
	}));
	const early = await rig.connect();
	early.send(Buffer.from('no init'), { fin: true });
	early.write(frame(op.text, Buffer.from([0xff])));
	assert.equal(await early.closed(), 1007, 'before init, too');
	await other.ping();
});

each('closing', async (options) => {
	const rig = await new Rig().start(options);
	for (const payload of [closePayload(1000), closePayload(1001, 'gone'), closePayload(4999), Buffer.alloc(0)]) {
		const v = await rig.viewer();
		await v.keyframe();
		v.write(frame(op.close, payload));
		v.closing = true;
		assert.equal(await v.closed(), payload.length > 0 ? payload.readUInt16BE() : 1005, 'it is echoed');
	}
	// A bridge that is stopped says so to all.
	const [v, input] = [await rig.viewer(), await rig.input()];
	await v.keyframe();
	rig.bridge.child.kill('SIGTERM');
	assert.deepEqual([await v.closed(), await input.closed()], [1012, 1012]);
});

// A line that is full most of the time: nothing comes between what belongs together, and nothing behind a close frame.
each('full_lines', async (options) => {
	const rig = await new Rig().start({ ...options, show: SHOW.film, mode: '1280x800' });
	const tab = { session_id: 's', client_unique_id: 'tab', extensions: ['frame-times', 'cursor-position'] };
	const v = await rig.viewer(tab);
	await v.keyframe();
	for (let i = 0; i < 20; i++) {
		v.stream.pause();
		for (let k = 0; k < 10; k++) {
			v.say('Ping', { sequence: 1000 + i, time: k });
			v.write(frame(op.ping, 'between'));
			await sleep(10);
		}
		v.stream.resume();
		await v.expect('Pong', (m) => m.sequence === 1000 + i && m.clientTime === 9);
		await v.expect('VideoFrame');
	}
	v.stream.pause();
	await sleep(500);
	const next = await rig.viewer(tab);
	await next.keyframe();
	v.stream.resume();
	assert.equal(await v.closed(), 4000);
	await next.ping();
}, 120);

// A client waits for the 101 (RFC 6455, 4.1). The bridge does not mind if it does not, the gateway does.
test('bytes_with_the_request', async () => {
	const rig = await new Rig().start({ gateway: true });
	const early = Buffer.concat([frame(op.text, '{"type":"init"}'), frame(op.binary, pingOf(7))]);
	assert.equal((await rig.refused('/ws/stream', {}, { early })).status, 400);
	rig.base = `http://127.0.0.1:${rig.port}`;
	for (const size of [early.length, 1, 20]) {
		const v = await rig.connect({ early: early.subarray(0, size) });
		v.expectAnswersTo();
		v.write(early.subarray(size));
		await v.expect('Pong', (m) => m.sequence === 7);
	}
});

each('what_is_offered_and_not_taken', async (options) => {
	const rig = await new Rig().start(options);
	const v = await rig.viewer({}, { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits',
		'Sec-WebSocket-Protocol': 'chat, video' } });
	await v.keyframe();
});

// Section 3.2. Data do not count, only pongs do.
test('who_does_not_answer', async () => {
	const rig = await new Rig().start({ show: SHOW.still });
	const begin = performance.now();
	const [silent, mute, input, good] = [await rig.connect(), await rig.viewer(), await rig.input(), await rig.viewer()];
	mute.answerPings = input.answerPings = false;
	const talk = setInterval(() => {
		mute.say('Ping', { sequence: 1, time: 1 });
		silent.say('Ping', { sequence: 1, time: 1 });
	}, 1000);
	try {
		assert.equal(await silent.closed(30000), 1008);
		assert.ok(performance.now() - begin > 9000, 'init has 10 s');
		assert.deepEqual([await mute.closed(60000), await input.closed(60000)], [1008, 1008]);
	} finally {
		clearInterval(talk);
	}
	assert.ok(performance.now() - begin > 29000, 'pongs have 30 s');
	assert.ok(good.pings.length >= 5 && good.pings.every((payload) => payload.length === 0), 'a ping each 5 s');
	await good.ping();
}, 120);

test('no_init_through_a_gateway', async () => {
	const rig = await new Rig().start({ gateway: true });
	const begin = performance.now();
	const v = await rig.connect();
	assert.equal(await v.closed(30000), 1008);
	assert.ok(performance.now() - begin > 9000);
});

await main();
