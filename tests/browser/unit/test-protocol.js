// SPDX-License-Identifier: GPL-2.0-or-later
import assert from 'node:assert/strict';
import test from 'node:test';

import * as protocol from '../../../web/js/protocol.js';
import * as server from '../messages.js';

const { Type } = protocol;
const bytes = (buffer) => [...new Uint8Array(buffer)];
const hex = (buffer) => Buffer.from(buffer).toString('hex');
const PTS = 1763870400123456; // µs since 1970: above 2^50

// Each message of the server: its bytes, its type and what must come out.
const samples = [
	['VideoFrame', Type.VIDEO_FRAME, server.videoFrame,
		{ codec: 1, key: true, replay: false, pts: PTS, width: 1920, height: 1080,
			data: Uint8Array.of(0, 0, 0, 1, 0x67) }],
	['VideoFrame, replayed, empty', Type.VIDEO_FRAME, server.videoFrame,
		{ codec: 1, key: false, replay: true, pts: 0, width: 0, height: 65535, data: new Uint8Array() }],
	['AudioFrame', Type.AUDIO_FRAME, server.audioFrame,
		{ channels: 2, pts: PTS, data: Uint8Array.of(0xfc, 0xff, 0xfe) }],
	['StreamInit', Type.STREAM_INIT, server.streamInit,
		{ codec: 1, width: 1280, height: 800, fps: 60, channels: 2, sampleRate: 48000, touch: true }],
	['Pong', Type.PONG, server.pong,
		{ seq: 0xfffffffe, clientTime: 123456789, serverTime: PTS, pipelineMs: 3, lateP50Ms: 1,
			lateP99Ms: 300, lateMaxMs: 65535 }],
	['CursorName', Type.CURSOR_NAME, server.cursorName,
		{ lastMover: 7, hotX: -1, hotY: 5, name: 'nwse-resize' }],
	['RemoteCursor', Type.REMOTE_CURSOR, server.remoteCursor,
		{ clientId: 3, x: -20, y: 70000, colour: '#0D99FF' }],
	['RemoteUser joined', Type.REMOTE_USER, server.remoteUser,
		{ joined: true, clientId: 9, name: 'Zoë 🙂', colour: '#F24822', avatar: 'https://x.example/a.png' }],
	['RemoteUser left', Type.REMOTE_USER, server.remoteUser,
		{ joined: false, clientId: 9, name: '', colour: '', avatar: '' }],
	['AgentCursor', Type.AGENT_CURSOR, server.agentCursor,
		{ agentId: 1, x: 65535, y: 2, action: 5, visible: true }],
	['RemoteTouch', Type.REMOTE_TOUCH, server.remoteTouch,
		{ clientId: 4, touchId: 2, event: 1, x: 10, y: -11, pressure: 1, colour: '#FFFFFF' }],
	['SelfId', Type.SELF_ID, server.selfId, { clientId: 0xffffffff }],
	['Clipboard', Type.CLIPBOARD, server.clipboard,
		{ generation: 0x01020304, available: true, text: false, image: true, ours: false }],
	['FrameTimes', Type.FRAME_TIMES, server.frameTimes,
		{ pts: PTS, sequence: 12, encodedUs: 1500, receivedUs: 1700, sentUs: 1800, skipped: 4 }],
];

for (const [name, type, encode, fields] of samples) {
	test(`${name} is read as it was written`, () => {
		assert.deepEqual(protocol.decode(encode(fields)), { type, ...fields });
	});
}

test('StreamError', () => {
	assert.deepEqual(protocol.decode(server.streamError('kein Bild – später')),
		{ type: Type.STREAM_ERROR, text: 'kein Bild – später' });
});

test('CursorImage, rows with gaps between them', () => {
	const pixels = Uint8Array.from([1, 2, 3, 4, 9, 9, 9, 9, 5, 6, 7, 8]);
	const msg = protocol.decode(server.cursorImage(
		{ lastMover: 1, x: -4, y: 600, hotX: 2, hotY: 3, width: 1, height: 2, stride: 8, pixels }));
	assert.deepEqual({ ...msg, pixels: [...msg.pixels] }, {
		type: Type.CURSOR_IMAGE, lastMover: 1, x: -4, y: 600, hotX: 2, hotY: 3, width: 1, height: 2,
		pixels: [1, 2, 3, 4, 5, 6, 7, 8],
	});
});

test('CursorImage without a bitmap is only another place', () => {
	const msg = protocol.decode(server.cursorImage({ lastMover: 0, x: 1, y: 2, hotX: 0, hotY: 0 }));
	assert.equal(msg.pixels, null);
	assert.equal(msg.x, 1);
});

test('CursorImage that promises more pixels than it has is refused', () => {
	const pixels = new Uint8Array(16);
	const make = (fields) => protocol.decode(server.cursorImage(
		{ lastMover: 0, x: 0, y: 0, hotX: 0, hotY: 0, width: 2, height: 2, pixels, ...fields }));
	assert.ok(make({}));
	assert.equal(make({ height: 3 }), null);
	assert.equal(make({ width: 4, stride: 8 }), null);
	assert.equal(make({ stride: -8 }), null);
	assert.equal(make({ width: 0 }), null);
	assert.equal(make({ height: 0xffffffff, stride: 0 }), null);
	assert.equal(make({ width: 0x40000000, stride: 8 }), null);
});

test('Pongs of older servers are shorter', () => {
	const whole = server.pong({ seq: 1, clientTime: 2, serverTime: 3, pipelineMs: 4, lateP50Ms: 5,
		lateP99Ms: 6, lateMaxMs: 7 });
	const old = protocol.decode(whole.slice(0, 23));
	assert.equal(old.pipelineMs, 4);
	assert.equal(old.lateMaxMs, 0);
	assert.equal(protocol.decode(whole.slice(0, 21)).pipelineMs, 0);
	assert.equal(protocol.decode(whole.slice(0, 20)), null);
});

test('messages cut at any byte, and noise, throw nothing', () => {
	const all = [...samples.map(([, , encode, fields]) => encode(fields)),
		server.streamError('x'), server.cursorImage({ lastMover: 0, x: 0, y: 0, hotX: 0, hotY: 0,
			width: 2, height: 2, pixels: new Uint8Array(16) })];
	for (const buffer of all) {
		for (let n = 0; n <= buffer.byteLength; n++) {
			protocol.decode(buffer.slice(0, n));
		}
	}
	let seed = 1;
	const random = () => {
		seed = (seed * 48271) % 2147483647;
		return seed;
	};
	for (let i = 0; i < 20000; i++) {
		const noise = Uint8Array.from({ length: random() % 64 }, () => random() & 255);
		protocol.decode(noise.buffer);
		const bent = all[random() % all.length].slice(0);
		if (bent.byteLength > 1) {
			new Uint8Array(bent)[1 + (random() % (bent.byteLength - 1))] = random() & 255;
		}
		protocol.decode(bent);
	}
});

test('unknown types are ignored', () => {
	assert.equal(protocol.decode(new ArrayBuffer(0)), null);
	assert.equal(protocol.decode(Uint8Array.of(0xee, 1, 2, 3).buffer), null);
	assert.equal(protocol.decodeText('nonsense'), null);
	assert.equal(protocol.decodeText('7'), null);
	assert.deepEqual(protocol.decodeText('{"a":1}'), { a: 1 });
});

test('what clients send, byte by byte', () => {
	const { encodeKey, encodeKeysymTap, encodeButton, encodeWheel, encodeAbsolute, encodeRelative,
		encodeTouch, encodePing, encodeControl, Modifier } = protocol;
	assert.equal(hex(encodePing(0x01020304, 0x0000a1b2c3d4e5)), '40010203040000' + '00a1b2c3d4e5');
	assert.deepEqual(bytes(encodeKey(30, true, Modifier.SHIFT | Modifier.CTRL)),
		[0x10, 0, 1, 3, 0, 30]);
	assert.deepEqual(bytes(encodeKey(0x1d0, false, 0)), [0x10, 0, 0, 0, 1, 0xd0]);
	assert.equal(hex(encodeKeysymTap(0x010020ac, Modifier.ALT)), '1003040' + '10020ac');
	assert.deepEqual(bytes(encodeButton(3, true)), [0x11, 2, 1, 3]);
	assert.equal(hex(encodeWheel(1.5, -100)), '1103' + '0000c03f' + '0000c8c2');
	assert.equal(hex(encodeAbsolute(100, -3, 4096, 4096)), '12010064fffd10001000');
	assert.equal(hex(encodeAbsolute(1e9, NaN, 16384, 16384)), '12017fff000040004000');
	assert.equal(hex(encodeRelative(-1, 2)), '1300ffff0002');
	assert.equal(hex(encodeTouch(1, 9, 0.5, 1)), '140109' + '0000003f' + '0000803f');
	assert.equal(hex(protocol.encodeMicrophone(Int16Array.of(1, -2, 32767))), '17' + '0100feffff7f');
	assert.equal(Buffer.from(encodeControl({ set_video_enabled: false })).toString('latin1'),
		' {"set_video_enabled":false}');
});
