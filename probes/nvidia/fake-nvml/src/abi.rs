//! The functions that are exported. Every pointer comes from the caller, who holds what the header asks of him; null is looked out for where the
//! header allows it.
#![expect(unsafe_code, reason = "a C interface, whose names and contracts are those of nvml.h")]

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};
use std::str::FromStr;
use std::sync::Arc;

use crate::layout::{
    Attributes, EventData, EventSet, FieldValue, GpmMetric, GpmMetrics, GpmSample, Handle, MEMORY_V2, Memory, PciInfo,
    ProcessInfo, Return, UtilizationSample,
};
use crate::script::Answer;
use crate::state::{
    ask, code, count, hold, let_go, number, place, reload, returned, rows, settled, token, with, write_calls,
};

/// Puts one number where the caller wants it.
unsafe fn put_number<T: FromStr>(function: &'static str, device: Handle, key: &str, out: *mut T) -> Return {
    let found = ask(function, device.addr(), key).and_then(|text| number(&text));
    // SAFETY: `out` is the caller's place for the answer.
    returned(found.map(|value| unsafe { out.write(value) }))
}

unsafe fn put_text(text: &str, out: *mut c_char, length: c_uint) -> Return {
    if text.len() >= length as usize {
        return code::INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller has room for `length` characters, and the text with its end has no more.
    unsafe {
        out.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
        out.add(text.len()).write(0);
    }
    code::SUCCESS
}

unsafe fn put_answer(function: &'static str, device: Handle, key: &str, out: *mut c_char, length: c_uint) -> Return {
    match ask(function, device.addr(), key) {
        // SAFETY: as `put_text` asks.
        Ok(text) => unsafe { put_text(&text, out, length) },
        Err(code) => code,
    }
}

/// Puts a list: how many there are where there is no room, and the items where there is.
unsafe fn put_list<T: Copy>(items: &[T], count: *mut c_uint, out: *mut T) -> Return {
    // SAFETY: the caller says there how much room there is, and reads there how many there are.
    let room = unsafe { count.replace(c_uint::try_from(items.len()).unwrap_or(0)) } as usize;
    if items.len() > room || (out.is_null() && !items.is_empty()) {
        return code::INSUFFICIENT_SIZE;
    }
    if !items.is_empty() {
        // SAFETY: there is room for all of them.
        unsafe { out.copy_from_nonoverlapping(items.as_ptr(), items.len()) };
    }
    code::SUCCESS
}

#[expect(clippy::cast_possible_truncation, reason = "all bits set stay all bits set: NVML's word for none")]
unsafe fn put_processes(
    function: &'static str,
    device: Handle,
    key: &str,
    count: *mut c_uint,
    out: *mut ProcessInfo,
) -> Return {
    let info = |row: &Vec<u64>| {
        let at = |index: usize| row.get(index).copied().unwrap_or(u64::MAX);
        ProcessInfo { pid: at(0) as u32, used: at(1), gpu_instance: at(2) as u32, compute_instance: at(3) as u32 }
    };
    match ask(function, device.addr(), key) {
        // SAFETY: as `put_list` asks.
        Ok(text) => unsafe { put_list(&rows(&text).iter().map(info).collect::<Vec<_>>(), count, out) },
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Return {
    reload();
    count("nvmlInit_v2");
    match settled(|script| script.get("init")) {
        Some(Answer::Code(code)) => {
            write_calls();
            code
        }
        _ => {
            with(|state| state.initialised += 1);
            code::SUCCESS
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Return {
    count("nvmlShutdown");
    write_calls();
    with(|state| match state.initialised.checked_sub(1) {
        Some(left) => {
            state.initialised = left;
            code::SUCCESS
        }
        None => code::UNINITIALIZED,
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> Return {
    match settled(|script| script.get("driver")) {
        // SAFETY: as `put_text` asks.
        Some(Answer::Value(version)) => unsafe { put_text(&version, out, length) },
        Some(Answer::Code(code)) => code,
        _ => code::NOT_SUPPORTED,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> Return {
    reload();
    count("nvmlDeviceGetCount_v2");
    match settled(|script| script.get("count")) {
        // SAFETY: `out` is the caller's place for the answer.
        Some(Answer::Value(text)) => returned(number(&text).map(|value| unsafe { out.write(value) })),
        Some(Answer::Code(code)) => code,
        _ => code::NOT_SUPPORTED,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Handle) -> Return {
    let known = match with(|state| state.script.of_gpu(index as usize, "handle")) {
        Answer::Code(code) if code != code::NOT_SUPPORTED => Err(code),
        _ => Ok(token(index as usize, None)),
    };
    // SAFETY: `out` is the caller's place for the answer; nobody follows the handle.
    returned(known.map(|token| unsafe { out.write(std::ptr::without_provenance_mut(token)) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(parent: Handle, index: c_uint, out: *mut Handle) -> Return {
    count("nvmlDeviceGetMigDeviceHandleByIndex");
    let (gpu, _) = place(parent.addr());
    let known = match with(|state| state.script.of_gpu(gpu, &format!("{index}.uuid"))) {
        Answer::Value(_) => Ok(token(gpu, Some(index as usize))),
        Answer::Code(code) if code != code::NOT_SUPPORTED => Err(code),
        _ => Err(code::NOT_FOUND),
    };
    // SAFETY: `out` is the caller's place for the answer; nobody follows the handle.
    returned(known.map(|token| unsafe { out.write(std::ptr::without_provenance_mut(token)) }))
}

/// Functions that put one number, text or list of processes.
macro_rules! functions {
    (numbers { $($number:ident($type:ty) = $number_key:literal;)* }
     texts { $($text:ident = $text_key:literal;)* }
     processes { $($list:ident = $list_key:literal;)* }) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $number(device: Handle, out: *mut $type) -> Return {
                // SAFETY: `out` is the caller's place for the answer.
                unsafe { put_number(stringify!($number), device, $number_key, out) }
            }
        )*
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $text(device: Handle, out: *mut c_char, length: c_uint) -> Return {
                // SAFETY: the caller has room for `length` characters.
                unsafe { put_answer(stringify!($text), device, $text_key, out, length) }
            }
        )*
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $list(device: Handle, count: *mut c_uint, out: *mut ProcessInfo) -> Return {
                // SAFETY: the caller has room for as many as `count` says.
                unsafe { put_processes(stringify!($list), device, $list_key, count, out) }
            }
        )*
    };
}

functions! {
    numbers {
    nvmlDeviceGetPowerUsage(c_uint) = "power_mw";
    nvmlDeviceGetTotalEnergyConsumption(c_ulonglong) = "energy_mj";
    nvmlDeviceGetEnforcedPowerLimit(c_uint) = "power_limit_mw";
    nvmlDeviceGetPowerManagementDefaultLimit(c_uint) = "power_limit_default_mw";
    nvmlDeviceGetArchitecture(c_uint) = "architecture";
    nvmlDeviceGetMaxMigDeviceCount(c_uint) = "mig_slots";
    nvmlDeviceGetCurrentClocksThrottleReasons(c_ulonglong) = "reasons";
    nvmlDeviceGetPcieReplayCounter(c_uint) = "pcie_replays";
    } texts {
    nvmlDeviceGetName = "name";
    nvmlDeviceGetUUID = "uuid";
    nvmlDeviceGetSerial = "serial";
    } processes {
    nvmlDeviceGetComputeRunningProcesses_v2 = "compute";
    nvmlDeviceGetComputeRunningProcesses_v3 = "compute";
    nvmlDeviceGetGraphicsRunningProcesses_v2 = "graphics";
    nvmlDeviceGetGraphicsRunningProcesses_v3 = "graphics";
    nvmlDeviceGetMPSComputeRunningProcesses_v3 = "mps";
    }
}

/// Two numbers apart by `:`, each for a place of its own.
unsafe fn put_pair(function: &'static str, device: Handle, key: &str, out: [*mut c_uint; 2]) -> Return {
    let pair = ask(function, device.addr(), key).and_then(|text| {
        let (one, other) = text.split_once(':').ok_or(code::INVALID_ARGUMENT)?;
        Ok([number(one)?, number(other)?])
    });
    // SAFETY: both are the caller's places for the answer.
    returned(pair.map(|pair| out.into_iter().zip(pair).for_each(|(out, value)| unsafe { out.write(value) })))
}

/// Functions that put two numbers.
macro_rules! pairs {
    ($($name:ident = $key:literal;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: Handle, one: *mut c_uint, other: *mut c_uint) -> Return {
            // SAFETY: both are the caller's places for the answer.
            unsafe { put_pair(stringify!($name), device, $key, [one, other]) }
        }
    )*};
}

pairs! {
    nvmlDeviceGetEncoderUtilization = "encoder";
    nvmlDeviceGetDecoderUtilization = "decoder";
    nvmlDeviceGetMigMode = "mig";
    nvmlDeviceGetCudaComputeCapability = "capability";
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: Handle, out: *mut [c_uint; 2]) -> Return {
    let out = out.cast::<c_uint>();
    // SAFETY: `nvmlUtilization_t` is two numbers, one after the other.
    unsafe { put_pair("nvmlDeviceGetUtilizationRates", device, "utilization", [out, out.add(1)]) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTemperature(device: Handle, sensor: c_uint, out: *mut c_uint) -> Return {
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { put_number("nvmlDeviceGetTemperature", device, &format!("temperature.{sensor}"), out) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetClockInfo(device: Handle, domain: c_uint, out: *mut c_uint) -> Return {
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { put_number("nvmlDeviceGetClockInfo", device, &format!("clock.{domain}"), out) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: Handle,
    kind: c_uint,
    counter: c_uint,
    out: *mut c_ulonglong,
) -> Return {
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { put_number("nvmlDeviceGetTotalEccErrors", device, &format!("ecc.{kind}.{counter}"), out) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: Handle, out: *mut PciInfo) -> Return {
    let address = ask("nvmlDeviceGetPciInfo_v3", device.addr(), "pci");
    returned(address.map(|address| {
        let mut info = PciInfo { bus_id_legacy: [0; 16], numbers: [0; 5], bus_id: [0; 32] };
        for (place, letter) in info.bus_id.iter_mut().zip(address.bytes().take(31)) {
            *place = letter.cast_signed();
        }
        // SAFETY: `out` is the caller's place for the answer.
        unsafe { out.write(info) };
    }))
}

/// `total:reserved:used`, in bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: Handle, out: *mut Memory) -> Return {
    // SAFETY: the caller has set the version of what it gives.
    let version = unsafe { (*out).version };
    if version != MEMORY_V2 {
        return code::VERSION_MISMATCH;
    }
    let text = ask("nvmlDeviceGetMemoryInfo_v2", device.addr(), "memory");
    let memory = text.and_then(|text| match rows(&text).first().map(Vec::as_slice) {
        Some(&[total, reserved, used]) => Ok(Memory::of(total, reserved, used)),
        _ => Err(code::INVALID_ARGUMENT),
    });
    // SAFETY: the version says that it is a place for this struct.
    returned(memory.map(|memory| unsafe { out.write(memory) }))
}

/// `multiprocessors:memory in MiB`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetAttributes_v2(device: Handle, out: *mut Attributes) -> Return {
    let text = ask("nvmlDeviceGetAttributes_v2", device.addr(), "attributes");
    let attributes = text.and_then(|text| match rows(&text).first().map(Vec::as_slice) {
        Some(&[multiprocessors, memory_mb]) => {
            let multiprocessors = c_uint::try_from(multiprocessors).map_err(|_wide| code::INVALID_ARGUMENT)?;
            Ok(Attributes { multiprocessors, engines: [0; 5], gpu_slices: 1, compute_slices: 1, memory_mb })
        }
        _ => Err(code::INVALID_ARGUMENT),
    });
    // SAFETY: `out` is the caller's place for the answer.
    returned(attributes.map(|attributes| unsafe { out.write(attributes) }))
}

/// `field.<id>`: a number, told as 64 bits.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetFieldValues(device: Handle, count: c_int, values: *mut FieldValue) -> Return {
    const UNSIGNED_LONG_LONG: c_uint = 3;
    // SAFETY: the caller gives as many as it says, with the numbers of the fields in them.
    let values = unsafe { std::slice::from_raw_parts_mut(values, usize::try_from(count).unwrap_or(0)) };
    for value in values {
        let found = ask("nvmlDeviceGetFieldValues", device.addr(), &format!("field.{}", value.id));
        match found.and_then(|text| number(&text)) {
            Ok(found) => (value.kind, value.code, value.value) = (UNSIGNED_LONG_LONG, code::SUCCESS, found),
            Err(code) => value.code = code,
        }
    }
    // A device that is lost answers for all of them.
    match ask("nvmlDeviceGetFieldValues", device.addr(), "fields") {
        Err(code) if code != code::NOT_SUPPORTED => code,
        _ => code::SUCCESS,
    }
}

/// `link.<link>.<counter>`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetNvLinkErrorCounter(
    device: Handle,
    link: c_uint,
    counter: c_uint,
    out: *mut c_ulonglong,
) -> Return {
    // SAFETY: `out` is the caller's place for the answer.
    unsafe { put_number("nvmlDeviceGetNvLinkErrorCounter", device, &format!("link.{link}.{counter}"), out) }
}

/// `pid:microseconds:sm:memory:encoder:decoder`, of which those after `last` are told; `-` is always half a second after.
#[unsafe(no_mangle)]
#[expect(clippy::cast_possible_truncation, reason = "a test may want what no device can show")]
unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    out: *mut UtilizationSample,
    count: *mut c_uint,
    last: c_ulonglong,
) -> Return {
    let sample = |row: &Vec<u64>| {
        let &[pid, at_us, sm, memory, encoder, decoder] = row.as_slice() else { return None };
        let at_us = if at_us == u64::MAX { last.saturating_add(500_000) } else { at_us };
        let shares = [sm, memory, encoder, decoder].map(|share| share as c_uint);
        (at_us > last).then_some(UtilizationSample { pid: pid as c_uint, at_us, shares })
    };
    match ask("nvmlDeviceGetProcessUtilization", device.addr(), "process_utilization") {
        Ok(text) => match rows(&text).iter().filter_map(sample).collect::<Vec<_>>() {
            samples if samples.is_empty() => code::NOT_FOUND,
            // SAFETY: as `put_list` asks.
            samples => unsafe { put_list(&samples, count, out) },
        },
        Err(code) => code,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmQueryDeviceSupport(device: Handle, out: *mut [c_uint; 2]) -> Return {
    // SAFETY: `nvmlGpmSupport_t` is two numbers: its version, and the answer.
    unsafe { put_number("nvmlGpmQueryDeviceSupport", device, "gpm", out.cast::<c_uint>().add(1)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleAlloc(out: *mut *mut GpmSample) -> Return {
    count("nvmlGpmSampleAlloc");
    // SAFETY: `out` is the caller's place for the answer.
    returned(hold().map(|()| unsafe { out.write(Box::into_raw(Box::new(GpmSample(None)))) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleFree(sample: *mut GpmSample) -> Return {
    let_go();
    // SAFETY: the caller gives back what it was given, once.
    drop(unsafe { Box::from_raw(sample) });
    code::SUCCESS
}

/// Takes a sample of a GPU, or of a GPU instance of it.
unsafe fn take_sample(device: Handle, prefix: String, sample: *mut GpmSample) -> Return {
    let (gpu, _) = place(device.addr());
    let seen = ask("nvmlGpmSampleGet", device.addr(), &format!("{prefix}gpm"));
    // SAFETY: the caller holds the sample.
    returned(seen.map(|_| unsafe { (*sample).0 = Some((with(|state| Arc::clone(&state.script)), gpu, prefix)) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleGet(device: Handle, sample: *mut GpmSample) -> Return {
    // SAFETY: the caller holds the sample.
    unsafe { take_sample(device, String::new(), sample) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmMigSampleGet(device: Handle, gpu_instance: c_uint, sample: *mut GpmSample) -> Return {
    // SAFETY: the caller holds the sample.
    unsafe { take_sample(device, format!("gi{gpu_instance}."), sample) }
}

/// `gpm.<id>`, as it was when the second sample was taken.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmMetricsGet(request: *mut GpmMetrics) -> Return {
    count("nvmlGpmMetricsGet");
    // SAFETY: the caller gives the head, two samples that it holds, and as many metrics behind the head as that says.
    let (version, first, second, metrics) = unsafe {
        let (head, metrics) = (&*request, (&raw mut (*request).metrics).cast());
        let [first, second] = head.samples;
        (head.version, &*first, &*second, std::slice::from_raw_parts_mut::<GpmMetric>(metrics, head.count as usize))
    };
    let (Some(_), Some((script, gpu, prefix))) = (&first.0, &second.0) else { return code::INVALID_ARGUMENT };
    if version != 1 {
        return code::VERSION_MISMATCH;
    }
    for metric in metrics {
        match script.of_gpu(*gpu, &format!("{prefix}gpm.{}", metric.id)) {
            Answer::Value(text) => (metric.code, metric.value) = (code::SUCCESS, text.parse().unwrap_or(f64::NAN)),
            Answer::Code(code) => metric.code = code,
            Answer::Hang => metric.code = code::TIMEOUT,
        }
    }
    code::SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetCreate(out: *mut *mut EventSet) -> Return {
    count("nvmlEventSetCreate");
    // SAFETY: `out` is the caller's place for the answer.
    returned(hold().map(|()| unsafe { out.write(Box::into_raw(Box::new(EventSet(Vec::new())))) }))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetFree(set: *mut EventSet) -> Return {
    let_go();
    // SAFETY: the caller gives back what it was given, once.
    drop(unsafe { Box::from_raw(set) });
    code::SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceRegisterEvents(device: Handle, _kinds: c_ulonglong, set: *mut EventSet) -> Return {
    let (gpu, _) = place(device.addr());
    let can = ask("nvmlDeviceRegisterEvents", device.addr(), "xid");
    // SAFETY: the caller holds the set.
    returned(can.map(|_| unsafe { (*set).0.push(gpu) }))
}

/// `xid`: the number of a critical error. Each new value is one event; 0 is none.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetWait_v2(set: *mut EventSet, out: *mut EventData, _milliseconds: c_uint) -> Return {
    const CRITICAL_XID: c_ulonglong = 8;
    count("nvmlEventSetWait_v2");
    // SAFETY: the caller holds the set.
    for &gpu in unsafe { &(*set).0 } {
        let Ok(text) = ask("xid", token(gpu, None), "xid") else { continue };
        let before = with(|state| state.told.insert(gpu, text.clone()));
        let Ok(data) = text.parse::<c_ulonglong>() else { continue };
        if data != 0 && before.as_ref() != Some(&text) {
            let device = std::ptr::without_provenance_mut(token(gpu, None));
            // SAFETY: `out` is the caller's place for the answer.
            unsafe { out.write(EventData { device, kind: CRITICAL_XID, data, instances: [c_uint::MAX; 2] }) };
            return code::SUCCESS;
        }
    }
    code::TIMEOUT
}
