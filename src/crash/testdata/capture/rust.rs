// Rust panics and aborts.
use std::cell::RefCell;
fn opaque<T: Copy>(x: T) -> T {
    unsafe { std::ptr::read_volatile(&x) }
}
struct Loud;
impl Drop for Loud {
    fn drop(&mut self) {
        panic!("while dropping");
    }
}
#[inline(never)]
fn deep(n: u64) -> u64 {
    let frame = [n; 512];
    if n == u64::MAX { 0 } else { deep(n + 1) + opaque(frame)[3] }
}
extern "C" fn no_unwind() {
    panic!("in a function that must not unwind");
}
fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let nine = opaque(9usize);
    let numbers = vec![1i32, 2, 3];
    match name.as_str() {
        "index" => println!("{}", numbers[nine]),
        "slice" => println!("{:?}", &numbers[1..nine]),
        "slice_order" => println!("{:?}", &numbers[nine..2]),
        "utf8" => println!("{}", &"h\u{e4}user"[..nine - 7]),
        "unwrap_none" => println!("{}", numbers.get(nine).unwrap()),
        "unwrap_err" => println!("{}", "x".parse::<i32>().unwrap()),
        "expect" => println!("{}", "x".parse::<i32>().expect("the port must be a number")),
        "add" => println!("{}", u8::try_from(nine).unwrap() + opaque(250u8)),
        "sub" => println!("{}", nine - opaque(10)),
        "mul" => println!("{}", i32::MAX * opaque(2)),
        "neg" => println!("{}", -opaque(i32::MIN)),
        "div" => println!("{}", nine / opaque(0)),
        "rem" => println!("{}", nine % opaque(0)),
        "shl" => println!("{}", 1u32 << opaque(40)),
        "assert_eq" => assert_eq!(nine, 10, "the table has {} rows", nine),
        "assert" => assert!(nine == 10),
        "explicit" => panic!("first line\nsecond line of the message"),
        "unreachable" => unreachable!("state {}", nine),
        "todo" => todo!(),
        "borrow" => {
            let cell = RefCell::new(1);
            let _first = cell.borrow_mut();
            println!("{}", cell.borrow());
        }
        "thread" => {
            let handle = std::thread::Builder::new().name("worker-3".into());
            handle.spawn(move || println!("{}", numbers[nine])).unwrap().join().unwrap();
        }
        "unnamed_thread" => {
            std::thread::spawn(|| panic!("no name")).join().unwrap();
        }
        "double" => {
            let _loud = Loud;
            panic!("the first one");
        }
        "no_unwind" => no_unwind(),
        "stack" => println!("{}", deep(0)),
        "alloc" => {
            let v: Vec<u8> = Vec::with_capacity(nine << 56);
            println!("{}", v.len());
        }
        "capacity" => {
            let v: Vec<u64> = Vec::with_capacity(nine << 60);
            println!("{}", v.len());
        }
        "abort" => std::process::abort(),
        "misaligned" => unsafe {
            let bytes = [0u8; 16];
            let p = bytes.as_ptr().add(1).cast::<u32>();
            println!("{}", *opaque(p));
        },
        "null" => unsafe {
            let p = opaque(std::ptr::null::<u32>());
            println!("{}", *p);
        },
        "unsafe_index" => unsafe {
            println!("{}", numbers.get_unchecked(nine));
        },
        "double_free" => unsafe {
            let p = Box::into_raw(Box::new([1u64; 4]));
            drop(Box::from_raw(p));
            drop(Box::from_raw(opaque(p)));
        },
        _ => std::process::exit(77),
    }
}
