// Under Node, where a worker is given limits.

/**
 * Memory for a worker's new objects, MB. V8 lets it grow to 48, and each page of it is paid for when it is first touched: a boot's workers
 * touched 23 MB for what lives for a moment. Cleaning up more often takes less.
 */
export const YOUNG_MB = 6;
