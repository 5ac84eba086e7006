// SPDX-License-Identifier: GPL-2.0-or-later
// What the decoder does when WebCodecs fails, with a VideoDecoder of the test's own.
import assert from 'node:assert/strict';
import test from 'node:test';

import { Decoder, whyNoDecoder } from '../../../web/js/decoder.js';
import { codecString } from '../../../web/js/h264.js';

const SPS = Uint8Array.of(0, 0, 0, 1, 0x67, 0x42, 0xd0, 0x28, 0x95, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 1, 0x65);

class FakeVideoDecoder {
	static made = [];
	static throwOn = '';

	constructor(handlers) {
		this.handlers = handlers;
		this.state = 'unconfigured';
		this.chunks = [];
		FakeVideoDecoder.made.push(this);
	}

	configure(config) {
		if (FakeVideoDecoder.throwOn === 'configure') {
			throw new Error('unsupported');
		}
		this.config = config;
		this.state = 'configured';
	}

	decode(chunk) {
		if (FakeVideoDecoder.throwOn === 'decode') {
			throw new Error('closed');
		}
		this.chunks.push(chunk);
	}

	close() {
		assert.notEqual(this.state, 'closed', 'closed once');
		this.state = 'closed';
	}

	give(timestamp) {
		const frame = { timestamp, closed: false, close: () => (frame.closed = true) };
		this.handlers.output(frame);
		return frame;
	}
}

function setUp() {
	FakeVideoDecoder.made = [];
	FakeVideoDecoder.throwOn = '';
	globalThis.VideoDecoder = FakeVideoDecoder;
	globalThis.EncodedVideoChunk = class {
		constructor(init) {
			Object.assign(this, init);
		}
	};
	const seen = { frames: [], keys: 0, dropped: 0, errors: 0, undecodable: 0 };
	const decoder = new Decoder({
		frame: (frame) => seen.frames.push(frame),
		needKey: () => seen.keys++,
		dropped: (n) => (seen.dropped += n),
		error: () => seen.errors++,
		undecodable: () => seen.undecodable++,
	});
	const key = (pts, data = SPS) => decoder.push({ key: true, pts, data });
	const delta = (pts) => decoder.push({ key: false, pts, data: Uint8Array.of(0, 0, 1, 0x41) });
	return { decoder, seen, key, delta, last: () => FakeVideoDecoder.made.at(-1) };
}

test('the codec string is from the SPS', () => {
	assert.equal(codecString(SPS), 'avc1.42d028');
	assert.equal(codecString(SPS.subarray(1)), 'avc1.42d028'); // 3-byte start code
	assert.equal(codecString(Uint8Array.of(0, 0, 1, 0x65, 1, 2, 3)), null);
	assert.equal(codecString(new Uint8Array()), null);
	assert.equal(codecString(Uint8Array.of(0, 0, 1, 0x67, 0x42)), null);
});

test('configured for latency, without a description', () => {
	const { key, last } = setUp();
	key(1);
	assert.equal(last().config.codec, 'avc1.42d028');
	assert.equal(last().config.optimizeForLatency, true);
	assert.equal('description' in last().config, false);
});

test('deltas before a keyframe are dropped, and a keyframe is asked for', () => {
	const { key, delta, seen, last } = setUp();
	delta(1);
	delta(2);
	assert.equal(seen.dropped, 2);
	assert.equal(seen.keys, 2);
	key(3);
	delta(4);
	assert.deepEqual(last().chunks.map((c) => [c.type, c.timestamp]), [['key', 3], ['delta', 4]]);
});

test('a new SPS makes a new decoder, the same one does not', () => {
	const { key } = setUp();
	key(1);
	key(2);
	assert.equal(FakeVideoDecoder.made.length, 1);
	const larger = SPS.slice();
	larger[7] = 0x32;
	key(3, larger);
	assert.equal(FakeVideoDecoder.made.length, 2);
	assert.equal(FakeVideoDecoder.made[0].state, 'closed');
});

test('pictures of before a reset are closed unseen', () => {
	const { decoder, key, seen, last } = setUp();
	key(1);
	const old = last();
	decoder.reset();
	key(2);
	assert.equal(old.give(1).closed, true);
	assert.equal(seen.frames.length, 0);
	last().give(2);
	assert.equal(seen.frames.length, 1);
});

test('the queue is bounded, and what a decoder swallowed does not count for ever', () => {
	const { decoder, key, delta, seen, last } = setUp();
	key(0);
	for (let pts = 1; pts < 40; pts++) {
		delta(pts);
	}
	assert.ok(decoder.queue <= 8);
	assert.ok(seen.dropped >= 31);
	assert.equal(seen.keys, 0, 'a keyframe now would only add to it');
	key(100); // nor is one taken that somebody else asked for
	assert.ok(decoder.queue <= 8);
	last().give(7); // and none of those before
	assert.equal(decoder.queue, 0);
	assert.equal(seen.keys, 1, 'now it can begin anew');
	delta(99);
	key(100);
	last().give(100);
	delta(101);
	assert.equal(decoder.queue, 1);
});

test('an error in the stream: begins anew with a keyframe', () => {
	const { key, delta, seen, last } = setUp();
	key(1);
	last().state = 'closed';
	last().handlers.error(new Error('corrupt'));
	assert.equal(seen.keys, 1);
	delta(2);
	key(3);
	last().give(3);
	assert.equal(seen.frames.length, 1);
	assert.equal(FakeVideoDecoder.made.length, 2);
});

test('errors again and again: software is tried, then it is given up', () => {
	const { key, seen, last } = setUp();
	const fail = (pts) => {
		key(pts);
		last().state = 'closed';
		last().handlers.error(new Error('no'));
	};
	[1, 2, 3, 4].forEach(fail);
	assert.equal(seen.undecodable, 0);
	[5, 6, 7, 8].forEach(fail);
	assert.equal(last().config.hardwareAcceleration, 'prefer-software');
	assert.equal(seen.undecodable, 1);
});

test('exceptions of configure and decode are errors like others', () => {
	for (const at of ['configure', 'decode']) {
		const { key, seen } = setUp();
		FakeVideoDecoder.throwOn = at;
		key(1);
		assert.equal(seen.errors, 1);
		assert.equal(seen.keys, 1);
		FakeVideoDecoder.throwOn = '';
		key(2);
		assert.equal(seen.errors, 1);
	}
});

test('why a browser cannot', () => {
	assert.equal(whyNoDecoder({ isSecureContext: false }), 'insecure');
	assert.equal(whyNoDecoder({ isSecureContext: true }), 'no-webcodecs');
	assert.equal(whyNoDecoder({ isSecureContext: true, VideoDecoder: class {} }), '');
});
