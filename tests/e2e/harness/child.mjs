// Programs that end with the tests' process, even those that a failed test did not end.
import { spawn } from 'node:child_process';

const living = new Set();
process.on('exit', () => living.forEach((child) => child.kill('SIGKILL')));

export function start(...call) {
  const child = spawn(...call);
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}
