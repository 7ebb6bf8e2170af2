//! Work on a stream of items: made ahead, worked on by several threads, received in order.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

/// Gives each result of `work` to `sink`, in the order of `items`. These are drawn on a thread of their own, at most
/// `workers` of them ahead of the `workers` threads that work. The first error of `sink` ends it.
///
/// # Errors
/// That of `sink`.
pub fn ordered<I: Send, O: Send, E>(
    items: impl Iterator<Item = I> + Send,
    workers: usize,
    work: impl Fn(I) -> O + Sync,
    mut sink: impl FnMut(O) -> Result<(), E>,
) -> Result<(), E> {
    let (send_item, receive_item) = sync_channel(workers);
    let (send_result, receive_result) = sync_channel(workers);
    let receive_item = Arc::new(Mutex::new(receive_item));
    std::thread::scope(|scope| {
        // A send fails once nobody receives any more: after an error.
        scope.spawn(move || items.enumerate().try_for_each(|item| send_item.send(item)));
        for _ in 0..workers {
            let (send_result, work, receive_item) = (send_result.clone(), &work, Arc::clone(&receive_item));
            scope.spawn(move || {
                while let Some((i, item)) = next(&receive_item) {
                    if send_result.send((i, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop((send_result, receive_item));
        in_order(receive_result, &mut sink)
    })
}

fn next<T>(items: &Mutex<Receiver<T>>) -> Option<T> {
    items.lock().ok()?.recv().ok()
}

fn in_order<O, E>(results: Receiver<(usize, O)>, sink: &mut impl FnMut(O) -> Result<(), E>) -> Result<(), E> {
    let mut early = BTreeMap::new();
    let mut wanted = 0;
    for (i, result) in results {
        early.insert(i, result);
        while let Some(result) = early.remove(&wanted) {
            sink(result)?;
            wanted += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_their_order() {
        let mut seen = Vec::new();
        let slow_first = |i: u64| {
            std::thread::sleep(std::time::Duration::from_millis(8 - i % 8));
            i * i
        };
        ordered(0..40, 3, slow_first, |v| -> Result<(), ()> { Ok(seen.push(v)) }).unwrap();
        assert_eq!(seen, (0..40).map(|i| i * i).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_ends_an_endless_stream() {
        let mut seen = 0;
        let stop = |v: u64| {
            seen += 1;
            if v == 5 { Err("five") } else { Ok(()) }
        };
        let drawn = std::sync::atomic::AtomicU64::new(0);
        let items = std::iter::from_fn(|| {
            let i = drawn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            (i < 10_000).then_some(i)
        });
        assert_eq!(ordered(items, 2, |i| i, stop), Err("five"));
        assert_eq!(seen, 6);
    }
}
