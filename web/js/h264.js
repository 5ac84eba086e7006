// SPDX-License-Identifier: GPL-2.0-or-later
// What the viewer must know of an H.264 access unit in Annex B form. Pure.

const NAL_SPS = 7;

/** Calls `visit(type, offset)` with each NAL unit's type and the offset of its header. */
function forEachNal(unit, visit) {
	for (let i = 0; i + 3 < unit.length; i++) {
		if (unit[i] === 0 && unit[i + 1] === 0 && unit[i + 2] === 1) {
			if (visit(unit[i + 3] & 0x1f, i + 3) === false) {
				return;
			}
			i += 3;
		}
	}
}

/**
 * The codec string for WebCodecs, from the unit's own SPS: profile, constraints, level. null if it
 * has none, so that it is no keyframe that a decoder can begin with.
 * @param {Uint8Array} unit
 */
export function codecString(unit) {
	let string = null;
	forEachNal(unit, (type, at) => {
		if (type !== NAL_SPS || at + 3 >= unit.length) {
			return true;
		}
		const hex = [...unit.subarray(at + 1, at + 4)].map((b) => b.toString(16).padStart(2, '0'));
		string = `avc1.${hex.join('')}`;
		return false;
	});
	return string;
}
