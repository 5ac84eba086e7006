// SPDX-License-Identifier: GPL-2.0-or-later
// Keys by their place: KeyboardEvent.code (W3C UI Events) to Linux evdev codes
// (linux/input-event-codes.h). And characters to X11 keysyms, for keyboards without places. Pure.

const evdev = new Map();

// `first` is the code of the first name, the others follow it.
function row(first, names) {
	names.split(' ').forEach((name, i) => evdev.set(name, first + i));
}

row(1, 'Escape Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0');
row(12, 'Minus Equal Backspace');
row(15, 'Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter');
row(29, 'ControlLeft KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote');
row(42, 'ShiftLeft Backslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash ShiftRight');
row(55, 'NumpadMultiply AltLeft Space CapsLock F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock');
row(71, 'Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd Numpad1 Numpad2');
row(81, 'Numpad3 Numpad0 NumpadDecimal');
row(85, 'Lang5 IntlBackslash F11 F12 IntlRo Lang3 Lang4 Convert KanaMode NonConvert');
row(96, 'NumpadEnter ControlRight NumpadDivide PrintScreen AltRight');
row(102, 'Home ArrowUp PageUp ArrowLeft ArrowRight End ArrowDown PageDown Insert Delete');
row(113, 'AudioVolumeMute AudioVolumeDown AudioVolumeUp Power NumpadEqual');
row(121, 'NumpadComma Lang1 Lang2 IntlYen MetaLeft MetaRight ContextMenu');
row(183, 'F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F23 F24');
for (const [name, code] of Object.entries({
	Pause: 119,
	Again: 129,
	Props: 130,
	Undo: 131,
	Copy: 133,
	Open: 134,
	Paste: 135,
	Find: 136,
	Cut: 137,
	Help: 138,
	LaunchApp1: 144,
	LaunchApp2: 140,
	LaunchControlPanel: 171,
	LaunchMail: 155,
	LaunchScreenSaver: 152,
	Sleep: 142,
	WakeUp: 143,
	BrowserBack: 158,
	BrowserFavorites: 156,
	BrowserForward: 159,
	BrowserHome: 172,
	BrowserRefresh: 173,
	BrowserSearch: 217,
	BrowserStop: 128,
	Eject: 161,
	MediaPlayPause: 164,
	MediaSelect: 226,
	MediaStop: 166,
	MediaTrackNext: 163,
	MediaTrackPrevious: 165,
	NumpadParenLeft: 179,
	NumpadParenRight: 180,
	NumpadChangeSign: 118,
	// Older names that browsers still give.
	HangulMode: 122,
	Hanja: 123,
	OSLeft: 125,
	OSRight: 126,
	VolumeMute: 113,
	VolumeDown: 114,
	VolumeUp: 115,
})) {
	evdev.set(name, code);
}

/** evdev code of a KeyboardEvent.code; undefined if there is none. */
export function evdevOf(code) {
	return evdev.get(code);
}

const namedKeysyms = new Map(Object.entries({
	Backspace: 0xff08,
	Tab: 0xff09,
	Enter: 0xff0d,
	Escape: 0xff1b,
	Delete: 0xffff,
	Home: 0xff50,
	ArrowLeft: 0xff51,
	ArrowUp: 0xff52,
	ArrowRight: 0xff53,
	ArrowDown: 0xff54,
	PageUp: 0xff55,
	PageDown: 0xff56,
	End: 0xff57,
	Insert: 0xff63,
}));
for (let n = 1; n <= 12; n++) {
	namedKeysyms.set(`F${n}`, 0xffbd + n);
}

/** X11 keysym of a character, or of a KeyboardEvent.key such as 'Enter'; 0 if there is none. */
export function keysymOf(key) {
	if (namedKeysyms.has(key)) {
		return namedKeysyms.get(key);
	}
	if (key === '\n' || key === '\r') {
		return namedKeysyms.get('Enter');
	}
	if (key === '\t') {
		return namedKeysyms.get('Tab');
	}
	const point = key.codePointAt(0);
	if (point === undefined || String.fromCodePoint(point) !== key) {
		return 0; // a name such as 'Dead', or nothing
	}
	if (point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0xd800 && point < 0xe000)) {
		return 0;
	}
	return point < 0x100 ? point : 0x01000000 + point;
}
