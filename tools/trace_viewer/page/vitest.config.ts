// Tests on a machine that others use: what takes a second there may take a minute, and is no failure.
import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { testTimeout: 300_000, hookTimeout: 120_000 } });
