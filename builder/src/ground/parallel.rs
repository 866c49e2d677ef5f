//! The same work on several things at once: as many as there are processors, with the results in the order of the
//! things, so that no output depends on who was first.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` makes of each item. A panic of one is the caller's.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return done };
            done.push((index, work(item)));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(worker)).collect();
        let mut done = worker();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Two works at once, with both results.
///
/// # Errors
/// That of the first, else that of the second. A panic of one is the caller's.
pub fn both<A, B: Send, E: Send>(
    first: impl FnOnce() -> Result<A, E>,
    second: impl FnOnce() -> Result<B, E> + Send,
) -> Result<(A, B), E> {
    thread::scope(|scope| {
        let second = scope.spawn(second);
        let first = first();
        let second = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((first?, second?))
    })
}

/// Does `work` with every item, by so many workers, from the last item to the first. After the first error the others
/// stop after the item in hand.
///
/// # Errors
/// One of `work`. A panic of one is the caller's.
pub fn drain<T: Send, E: Send>(
    items: Vec<T>,
    workers: usize,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let queue = Mutex::new(items);
    let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
    let worker = || {
        while let Some(item) = next() {
            if let Err(error) = work(item) {
                queue.lock().map(|mut queue| queue.clear()).ok();
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::map;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let late_first = |item: &u64| {
            std::thread::sleep(Duration::from_millis(20 - item));
            item * 2
        };
        let items: Vec<u64> = (0..20).collect();
        assert_eq!(map(&items, late_first), (0..20).map(|item| item * 2).collect::<Vec<_>>());
        assert!(map(&[], late_first).is_empty());
    }
}
