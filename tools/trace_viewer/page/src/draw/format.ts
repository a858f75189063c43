// Numbers as people read them, as tools/trace_viewer/numbers.cc writes them: three significant digits, binary units.

export function FormatCount(count: number): string {
  return Math.round(count).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

function Significant(number: number): string {
  if (number >= 99.95) return number.toFixed(0);
  const text = number >= 9.995 ? number.toFixed(1) : number.toFixed(2);
  return text.replace(/\.?0+$/, '');
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

export function FormatBytes(bytes: number): string {
  let unit = 0;
  let number = Math.abs(bytes);
  while (number >= (unit === 0 ? 1024 : 1023.5) && unit < byteUnits.length - 1) {
    number /= 1024;
    ++unit;
  }
  return `${bytes < 0 ? '-' : ''}${unit === 0 ? number.toFixed(0) : Significant(number)} ${byteUnits[unit]}`;
}

export function FormatDuration(ns: number): string {
  const number = Math.abs(ns);
  const sign = ns < 0 ? '-' : '';
  if (number === 0) return '0 s';
  if (number < 999.5) return `${sign}${Significant(number)} ns`;
  if (number < 999.5e3) return `${sign}${Significant(number / 1e3)} µs`;
  if (number < 999.5e6) return `${sign}${Significant(number / 1e6)} ms`;
  if (number < 10 * 60e9 * 0.9995) return `${sign}${Significant(number / 1e9)} s`;
  if (number < 2 * 3600e9 * 0.9995) return `${sign}${Significant(number / 60e9)} min`;
  return `${sign}${Significant(number / 3600e9)} h`;
}

// An instant on the trace's clock, to the digit that matters: "107.482113 s".
export function FormatInstant(ns: number): string {
  return `${(ns / 1e9).toFixed(6)} s`;
}

export function FormatRate(bytesPerSecond: number): string {
  return `${FormatBytes(bytesPerSecond)}/s`;
}

export function FormatPercent(part: number, whole: number): string {
  if (whole === 0 || part === 0) return '0 %';
  const percent = (100 * part) / whole;
  return percent < 1 ? '<1 %' : `${percent.toFixed(0)} %`;
}
