// The page in Chromium. The suites share one browser and the traces that they open, so they are one file for the runner; `-t NAME`
// runs a part of them. The first holds times and runs alone; after it most tests run beside each other, each in a context of its
// own: they spend their time waiting for frames and timers.

import { afterAll } from 'vitest';
import { pages } from './pages.ts';

import './opening.ts';
import './frame_times.ts';
import './sums.ts';
import './accessibility.ts'; // of those beside each other what takes longest begins first
import './keyboard.ts';
import './panels.ts';
import './gaps.ts';
import './content.ts';
import './gestures.ts';

afterAll(() => pages.Close());
