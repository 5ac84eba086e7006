// SPDX-License-Identifier: GPL-2.0-or-later
// As much of H.264 as section 4.1 of docs/protocol/websocket.md promises something about.

// The NAL units of an access unit, each behind a start code of 4 bytes
function nalUnits(unit) {
	const starts = [];
	for (let at = 0; (at = unit.indexOf('\0\0\x01', at, 'latin1')) >= 0; at += 3) {
		if (at === 0 || unit[at - 1] !== 0) {
			throw new Error(`a start code of 3 bytes at ${at}`);
		}
		starts.push(at - 1);
	}
	if (starts[0] !== 0) {
		throw new Error('it does not begin with a start code');
	}
	return starts.map((start, i) => {
		const nal = unit.subarray(start + 4, starts[i + 1] ?? unit.length);
		if (nal.length < 2 || nal[0] & 0x80 || nal.at(-1) === 0) {
			throw new Error(`no NAL unit at ${start}: ${nal.toString('hex', 0, 8)}`);
		}
		return nal;
	});
}

// The bits of a NAL unit behind its first byte, without emulation prevention (7.3.1)
class Bits {
	constructor(nal) {
		this.bytes = [];
		this.at = 0;
		for (let i = 1, zeros = 0; i < nal.length; i++) {
			const prevention = zeros >= 2 && nal[i] === 3;
			zeros = prevention || nal[i] ? 0 : zeros + 1;
			this.bytes.push(...(prevention ? [] : [nal[i]]));
		}
	}

	bit() {
		if (this.at >= 8 * this.bytes.length) {
			throw new Error('an SPS ends too early');
		}
		const bit = this.bytes[this.at >> 3] >> (7 - (this.at & 7)) & 1;
		this.at++;
		return bit;
	}

	u(count) {
		let value = 0;
		for (; count > 0; count--) {
			value = 2 * value + this.bit();
		}
		return value;
	}

	ue(count = 1) {
		let value = 0;
		for (; count > 0; count--) {
			let zeros = 0;
			while (!this.bit()) {
				zeros++;
			}
			value = 2 ** zeros - 1 + this.u(zeros);
		}
		return value;
	}

	// rbsp_trailing_bits()
	end() {
		if (!this.bit() || this.u(-this.at & 7) || this.at !== 8 * this.bytes.length) {
			throw new Error('an SPS does not end where it should');
		}
	}
}

// E.1.2
function skipHrd(b) {
	const count = b.ue() + 1;
	b.u(8);
	for (let i = 0; i < count; i++) {
		b.ue(2);
		b.bit();
	}
	b.u(20);
}

// max_num_reorder_frames of the VUI (E.1.1), undefined without one
function readReorder(b) {
	if (b.bit() && b.u(8) === 255) {
		b.u(32); // of pixels that are not square
	}
	if (b.bit()) {
		b.bit();
	}
	if (b.bit()) {
		b.u(4);
		b.u(b.bit() ? 24 : 0);
	}
	b.ue(b.bit() ? 2 : 0);
	b.u(b.bit() ? 65 : 0);
	const nal = b.bit();
	if (nal) {
		skipHrd(b);
	}
	const vcl = b.bit();
	if (vcl) {
		skipHrd(b);
	}
	b.u(nal || vcl ? 2 : 1);
	if (!b.bit()) {
		return undefined;
	}
	b.bit();
	b.ue(4);
	const reorder = b.ue();
	b.ue();
	return reorder;
}

// 7.3.2.1.1, of the profiles without chroma formats
function parseSps(nal) {
	const b = new Bits(nal);
	const sps = { profile: b.u(8), constraints: b.u(8), level: b.u(8) };
	if (sps.profile > 88) {
		throw new Error(`profile ${sps.profile}`);
	}
	b.ue(2);
	if (b.ue() === 0) {
		b.ue();
	}
	b.ue();
	b.bit();
	sps.width = 16 * (b.ue() + 1);
	sps.height = 16 * (b.ue() + 1);
	if (!b.bit()) {
		throw new Error('fields');
	}
	b.bit();
	if (b.bit()) {
		sps.width -= 2 * (b.ue() + b.ue());
		sps.height -= 2 * (b.ue() + b.ue());
	}
	if (b.bit()) {
		sps.reorder = readReorder(b);
	}
	b.end();
	return sps;
}

// Throws unless it is one picture as 4.1 has it; gives the SPS of a keyframe.
export function checkUnit(unit, keyframe) {
	const nals = nalUnits(unit);
	const types = nals.map((nal) => nal[0] & 31);
	const picture = types.findIndex((type) => type >= 1 && type <= 5);
	const slices = nals.slice(picture);
	if (picture < 0 || types.slice(picture).some((type) => type !== types[picture])) {
		throw new Error(`it is not one picture but ${types}`);
	}
	// first_mb_in_slice, ue(v): a 1 is 0
	if (slices.some((nal, i) => (nal[1] >= 0x80) !== (i === 0))) {
		throw new Error('one picture begins once');
	}
	if ((types[picture] === 5) !== keyframe) {
		throw new Error(`keyframe: ${keyframe}, units: ${types}`);
	}
	if (!keyframe) {
		return undefined;
	}
	const sps = types.indexOf(7), pps = types.indexOf(8);
	if (sps < 0 || pps < sps || picture < pps) {
		throw new Error(`SPS and PPS are not before the IDR: ${types}`);
	}
	const parsed = parseSps(nals[sps]);
	if (parsed.profile !== 66 || !(parsed.constraints & 0x40) || parsed.reorder !== 0) {
		throw new Error(`not Constrained Baseline without reordering: ${JSON.stringify(parsed)}`);
	}
	return parsed;
}
