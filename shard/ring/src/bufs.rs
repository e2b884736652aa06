//! The pool of receive buffers and the ring through which the kernel picks them.
//!
//! A small pool that stays in the cache serves all connections, since a buffer is in use only between the kernel's copy
//! and the owner's callback. With incremental consumption (Linux 6.12) many receives follow each other in one buffer;
//! without it each takes a whole one.
//!
//! Invariant: a buffer is either the kernel's (offered in the ring) or has been consumed and is being lent; it is offered
//! again only when the kernel has said that it is done with it. The consumed prefix of a buffer is never written by the
//! kernel, which is why it may be lent while the rest is still offered.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, IOU_PBUF_RING_INC};
use io_uring::{IoUring, cqueue};

use crate::config::RingConfig;
use crate::error::SetupError;
use crate::limits;

/// The ring has one group of buffers.
pub(crate) const GROUP: u16 = 0;

const PAGE: usize = 4096;

/// Page-aligned zeroed memory, freed on drop unless leaked; shared with the kernel, so only ever reached by pointer.
struct Region {
    start: NonNull<u8>,
    layout: Layout,
    leaked: bool,
}

impl Region {
    fn new(bytes: usize) -> Result<Region, SetupError> {
        assert!(bytes > 0, "settings are validated before memory is asked for");
        let refused = || SetupError::Pool { bytes };
        let layout = Layout::from_size_align(bytes, PAGE).map_err(|_| refused())?;
        // SAFETY: the layout has a size, asserted above.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Region {
            start: NonNull::new(start).ok_or_else(refused)?,
            layout,
            leaked: false,
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if !self.leaked {
            // SAFETY: allocated in `new` with this layout, and freed only here.
            unsafe { dealloc(self.start.as_ptr(), self.layout) }
        }
    }
}

/// A run of received bytes in the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    buffer: u16,
    offset: u32,
    len: u32,
    /// The kernel is done with the buffer.
    last: bool,
}

/// Pool and ring.
pub(crate) struct Bufs {
    pool: Region,
    ring: Region,
    mask: u16,
    tail: u16,
    size: u32,
    incremental: bool,
    /// Per buffer, how much of it has been consumed.
    consumed: Vec<u32>,
}

impl Bufs {
    /// Allocates the pool, registers it, and offers every buffer.
    pub(crate) fn register(ring: &IoUring, config: &RingConfig) -> Result<Bufs, SetupError> {
        if config.incremental {
            let bufs = Bufs::allocate(u32::from(config.buffers), config.buffer_size, true)?;
            match bufs.attach(ring) {
                Ok(()) => return Ok(bufs.offered()),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                Err(error) => {
                    return Err(SetupError::io("registering the incremental buffer ring")(error));
                }
            }
        }
        let total = u64::from(config.buffers) * u64::from(config.buffer_size);
        let size = config.buffer_size.min(limits::PLAIN_BUFFER);
        let count = (total / u64::from(size)).min(u64::from(limits::BUFFERS)) as u32;
        let bufs = Bufs::allocate(count, size, false)?;
        bufs.attach(ring)
            .map_err(SetupError::io("registering the buffer ring"))?;
        Ok(bufs.offered())
    }

    fn allocate(count: u32, size: u32, incremental: bool) -> Result<Bufs, SetupError> {
        let entries = count.next_power_of_two();
        Ok(Bufs {
            pool: Region::new(count as usize * size as usize)?,
            ring: Region::new(entries as usize * size_of::<BufRingEntry>())?,
            mask: (entries - 1) as u16,
            tail: 0,
            size,
            incremental,
            consumed: vec![0; count as usize],
        })
    }

    fn attach(&self, ring: &IoUring) -> std::io::Result<()> {
        let flags = if self.incremental { IOU_PBUF_RING_INC as u16 } else { 0 };
        let address = self.ring.start.as_ptr() as u64;
        // SAFETY: the region is page-aligned, holds `mask + 1` entries, and outlives the registration: it is freed only
        // when the io_uring is closed or the group unregistered (`drain`, and the order of `Ring`'s fields).
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, self.mask + 1, GROUP, flags)
        }
    }

    fn offered(mut self) -> Bufs {
        for buffer in 0..self.consumed.len() {
            self.offer(buffer as u16);
        }
        self
    }

    /// Whether receives share buffers.
    pub(crate) fn incremental(&self) -> bool {
        self.incremental
    }

    pub(crate) fn count(&self) -> usize {
        self.consumed.len()
    }

    /// Accounts for what a completion consumed. `None` if it consumed nothing.
    pub(crate) fn consume(&mut self, result: i32, flags: u32) -> Option<Piece> {
        let buffer = cqueue::buffer_select(flags)?;
        let len = result.max(0) as u32;
        if self.incremental && len == 0 {
            // Kernels before 7.0 may leave BUF_MORE out when a receive ends without data (EOF), although the buffer
            // stays theirs: an incremental buffer is only ever used up by bytes.
            return None;
        }
        let consumed = self.consumed.get_mut(buffer as usize)?;
        let offset = *consumed;
        *consumed += len;
        assert!(
            *consumed <= self.size,
            "the kernel stays within the buffer it was offered"
        );
        let last = !self.incremental || !cqueue::buffer_more(flags);
        Some(Piece {
            buffer,
            offset,
            len,
            last,
        })
    }

    /// The bytes of a piece, lent until it is released.
    pub(crate) fn lend(&mut self, piece: &Piece) -> &mut [u8] {
        let start = piece.buffer as usize * self.size as usize + piece.offset as usize;
        // SAFETY: `consume` checked that the run lies within its buffer. The kernel has finished writing it (its
        // completion was reaped) and will not write there again before the buffer is offered anew in `release`; each
        // run is handed out for one completion, and `&mut self` keeps it from being lent twice at a time. The pool is
        // zeroed at birth, so every byte is initialised.
        unsafe { std::slice::from_raw_parts_mut(self.pool.start.as_ptr().add(start), piece.len as usize) }
    }

    /// Ends the loan; a buffer the kernel is done with is offered again.
    pub(crate) fn release(&mut self, piece: Piece) {
        if piece.last {
            self.offer(piece.buffer);
        }
    }

    /// Gives the memory up: the kernel may still write to it.
    pub(crate) fn leak(&mut self) {
        self.pool.leaked = true;
        self.ring.leaked = true;
    }

    fn offer(&mut self, buffer: u16) {
        self.consumed[buffer as usize] = 0;
        let entries = self.ring.start.as_ptr().cast::<BufRingEntry>();
        let offset = buffer as usize * self.size as usize;
        // SAFETY: the index is masked to the region's entries, and the buffer lies in the pool. The kernel reads and
        // writes entries only between head and tail and only while this thread is inside io_uring_enter
        // (DEFER_TASKRUN); this entry is at the tail, and there are at least as many entries as buffers. The fields
        // written exclude the tail itself, which shares memory with the first entry.
        unsafe {
            let address = self.pool.start.as_ptr().add(offset) as u64;
            let entry = &mut *entries.add((self.tail & self.mask) as usize);
            entry.set_addr(address);
            entry.set_len(self.size);
            entry.set_bid(buffer);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `entries` is the start of the ring, whose first entry holds the tail; it is aligned for a u16, and
        // the kernel reads it with an acquiring load.
        let tail = unsafe { &*BufRingEntry::tail(entries).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUFFER: u32 = 1;
    const MORE: u32 = 1 << 4;

    fn flags(buffer: u16, more: u32) -> u32 {
        u32::from(buffer) << 16 | BUFFER | more
    }

    fn bufs(incremental: bool) -> Bufs {
        Bufs::allocate(3, 100, incremental).unwrap().offered()
    }

    #[test]
    fn receives_follow_each_other_in_an_incremental_buffer_until_it_is_used_up() {
        let mut bufs = bufs(true);
        let offered = bufs.tail;
        let first = bufs.consume(60, flags(2, MORE)).unwrap();
        let second = bufs.consume(40, flags(2, 0)).unwrap();
        assert_eq!((first.offset, first.last), (0, false));
        assert_eq!((second.offset, second.last), (60, true));
        bufs.lend(&first).fill(1);
        bufs.lend(&second).fill(2);
        assert!(bufs.lend(&first).iter().all(|byte| *byte == 1));
        bufs.release(first);
        assert_eq!(bufs.tail, offered, "the kernel still had it");
        bufs.release(second);
        assert_eq!(bufs.tail, offered + 1, "offered once");
        assert_eq!(bufs.consume(1, flags(2, MORE)).unwrap().offset, 0);
    }

    #[test]
    fn an_end_without_data_leaves_an_incremental_buffer_with_the_kernel() {
        let mut bufs = bufs(true);
        bufs.consume(10, flags(0, MORE)).unwrap();
        // As kernels before 7.0 report EOF: a buffer, and no word that there is more in it.
        assert!(bufs.consume(0, flags(0, 0)).is_none());
        assert_eq!(bufs.consume(10, flags(0, MORE)).unwrap().offset, 10);
    }

    #[test]
    fn a_plain_buffer_goes_back_after_every_completion_that_names_it() {
        let mut bufs = bufs(false);
        let offered = bufs.tail;
        for result in [10, 0] {
            let piece = bufs.consume(result, flags(1, 0)).unwrap();
            bufs.release(piece);
        }
        assert_eq!(bufs.tail, offered + 2);
        assert!(bufs.consume(-libc::ENOBUFS, 0).is_none());
    }

    #[test]
    #[should_panic(expected = "stays within the buffer")]
    fn a_completion_beyond_its_buffer_is_not_believed() {
        bufs(true).consume(101, flags(0, 0));
    }
}
