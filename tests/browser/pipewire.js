// SPDX-License-Identifier: GPL-2.0-or-later
// The real PipeWire and WirePlumber in a directory of a test's own, configured as in a container.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import path from 'node:path';

import { until } from '../integration/gateway/tap.mjs';

/** Of a Bench: has `directory`, and play() and record(). */
export async function startPipewire(bench) {
	const directory = await bench.temporary();
	const env = {
		...process.env,
		XDG_RUNTIME_DIR: directory,
		XDG_CONFIG_HOME: directory,
		XDG_STATE_HOME: directory,
		HOME: directory,
		DBUS_SESSION_BUS_ADDRESS: `unix:path=${directory}/bus`,
		DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${directory}/no-bus`,
	};
	await mkdir(path.join(directory, 'pipewire/pipewire.conf.d'), { recursive: true });
	await symlink(process.env.HELIX_SOUND_CONF,
		path.join(directory, 'pipewire/pipewire.conf.d/50-helix-desktop.conf'));

	function run(file, ...args) {
		const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'], env });
		const exited = once(child, 'exit');
		process.on('exit', () => child.kill('SIGKILL'));
		let text = '';
		child.stdout.on('data', (data) => {
			text += data;
		});
		return bench.own({
			output: () => text,
			stop: async () => {
				if (child.exitCode === null && child.signalCode === null) {
					child.kill('SIGTERM');
					await exited;
				}
			},
		});
	}

	run('/usr/bin/dbus-daemon', '--session', '--nofork', `--address=unix:path=${directory}/bus`);
	await until('the bus', () => existsSync(`${directory}/bus`), 30000);
	run('/usr/bin/pipewire');
	await until('PipeWire', () => existsSync(`${directory}/pipewire-0`), 30000);
	run('/usr/bin/wireplumber');
	await until('the default sink', () => spawnSync('/usr/bin/pw-metadata',
		['0', 'default.audio.sink'], { env, encoding: 'utf8' }).stdout.includes('helix-desktop'), 30000);
	return {
		directory,
		/** A sine, after so much silence. output(): when it began, CLOCK_MONOTONIC in ns. */
		play: (hertz, silentMs = 0) =>
			run(process.env.HELIX_SOUND_PLAYER, String(hertz), String(silentMs)),
		/** Records the viewer's microphone, mono, f32. */
		record: (file) => run('/usr/bin/pw-cat', '--record', '--target', 'helix-microphone',
			'--format', 'f32', '--channels', '1', file),
	};
}
