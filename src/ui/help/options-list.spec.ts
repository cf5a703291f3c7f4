import { describe, it, expect } from 'vitest';
import { optionsList } from './options-list.ts';

describe('the options in Help', () => {
  it('are those of -help, each with its words', () => {
    const list = optionsList();
    expect(list.length).toBeGreaterThan(15);
    for (const { usage, words } of list) {
      expect(usage).toMatch(/^-\S/);
      expect(usage).not.toContain('   ');
      expect(words).toMatch(/^\S/);
    }
    expect(list.find(({ usage }) => usage === '-kernel FILE')?.words).toContain('bzImage');
    expect(list.find(({ usage }) => usage.startsWith('-serial'))?.words).toContain('serial port');
  });
});
