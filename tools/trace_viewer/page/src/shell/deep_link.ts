// Deep links: what is shown, in the address's fragment, in parts that `&` keeps apart:
//   t=BEGIN-END    the time range, ns since the first record
//   item=VIEW.KEY  what is selected
//   tags=1.4       the filter: codes of tags and of tiers (none after the sign: none is shown), and sizes in bytes
//   tiers=0.1
//   from=BYTES
//   to=BYTES
//   search=TEXT    what is searched for
//   tab=ID         the panel
// What a link does not name stays as it is. The filter is one thing: a part of it that is not named lets everything through.

import { noFilter, type Filter } from '../views/view.ts';

export interface Link {
  begin: number;
  end: number;
  item: { view: string; key: number } | null;
  filter: Filter | null; // null, like the others: not named
  search: string | null;
  tab: string | null;
}

const number = /^\d+(?:\.\d+)?$/;
const mostText = 1000; // of a search: addresses have an end

export function ReadLink(fragment: string): Link | null {
  const parts = new URLSearchParams(fragment.replace(/^#/, '').replaceAll('+', '%2B')); // a plus is a plus here
  const range = /^(-?\d+(?:\.\d+)?)-(-?\d+(?:\.\d+)?)$/.exec(parts.get('t') ?? '');
  const item = /^([a-z0-9-]+)\.(\d+)$/.exec(parts.get('item') ?? '');
  const filter = ReadFilter(parts);
  if (range === null && item === null && filter === null && !parts.has('search') && !parts.has('tab')) return null;
  return {
    begin: range === null ? NaN : Number(range[1]),
    end: range === null ? NaN : Number(range[2]),
    item: item === null ? null : { view: item[1]!, key: Number(item[2]) },
    filter,
    search: parts.get('search')?.slice(0, mostText) ?? null,
    tab: parts.get('tab'),
  };
}

export function WriteLink(link: Link): string {
  const parts: string[] = [];
  if (!Number.isNaN(link.begin)) parts.push(`t=${Math.round(link.begin)}-${Math.round(link.end)}`);
  if (link.item !== null) parts.push(`item=${link.item.view}.${link.item.key}`);
  if (link.filter !== null) parts.push(...FilterParts(link.filter));
  if (link.search !== null && link.search !== '') parts.push(`search=${Encoded(link.search)}`);
  if (link.tab !== null) parts.push(`tab=${Encoded(link.tab)}`);
  return `#${parts.join('&')}`;
}

// null where the parts say nothing of a filter, or nothing that is one.
function ReadFilter(parts: URLSearchParams): Filter | null {
  const Codes = (text: string | null) => {
    if (text === null || !/^(?:\d{1,3}(?:\.\d{1,3})*)?$/.test(text)) return null;
    return new Set(text === '' ? [] : text.split('.').map(Number));
  };
  const Bytes = (text: string | null, without: number) => (text !== null && number.test(text) ? Number(text) : without);
  const filter = {
    tags: Codes(parts.get('tags')),
    tiers: Codes(parts.get('tiers')),
    minimum_bytes: Bytes(parts.get('from'), 0),
    maximum_bytes: Bytes(parts.get('to'), Infinity),
  };
  return FilterParts(filter).length === 0 ? null : filter;
}

function FilterParts(filter: Filter): string[] {
  if (filter === noFilter) return [];
  const Codes = (codes: ReadonlySet<number>) => [...codes].sort((a, b) => a - b).join('.');
  return [
    ...(filter.tags === null ? [] : [`tags=${Codes(filter.tags)}`]),
    ...(filter.tiers === null ? [] : [`tiers=${Codes(filter.tiers)}`]),
    ...(filter.minimum_bytes > 0 ? [`from=${filter.minimum_bytes}`] : []),
    ...(filter.maximum_bytes !== Infinity ? [`to=${filter.maximum_bytes}`] : []),
  ];
}

// Halves of characters, which a text field may hold, have no place in an address.
function Encoded(text: string): string {
  return encodeURIComponent(text.replace(/\p{Surrogate}/gu, '').slice(0, mostText).replace(/\p{Surrogate}/gu, ''));
}
