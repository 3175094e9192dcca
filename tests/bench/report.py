"""The figures as tables, and as a picture."""
import lab


def verdicts(bars):
    lines = ["| bar | measured | limit | reached |", "|---|---|---|---|"]
    for what, figure, limit, reached in bars:
        lines.append(f"| {what} | {figure:.2f} | {limit:g} | {'yes' if reached else '**no**'} |")
    return "\n".join(lines)


def race(result):
    stages = ", ".join(f"{name} {one['seconds']:.2f} s" for name, one in result["stages"].items())
    lines = [f"**{result['row']}**: {result['image_bytes'] / 1e6:.0f} MB, {result['virtual_size'] / 2**30:.1f} GiB virtual. "
             f"Stages alone: {stages}. The bound is {result['bound']:.2f} s ({result['bound_is']}).", "",
             "| flow | seconds (least–most) | × bound | CPU s | machine's CPU s | peak memory | RAM disk | on the wire | written or zeroed |",
             "|---|---|---|---|---|---|---|---|---|"]
    for name, one in sorted(result["flows"].items(), key=lambda item: item[1]["median"]):
        hung = f", hung {one['hangs']}×" if one["hangs"] else ""
        lines.append(
            f"| {name} | {one['median']:.2f} ({one['least']:.2f}–{one['most']:.2f}{hung}) | {one['median'] / result['bound']:.2f} "
            f"| {one['cpu']:.2f} | {one['machine_cpu']:.2f} | {one['peak_rss'] / lab.MIB:.0f} MiB | {one['tmpfs'] / 1e6:.0f} MB "
            f"| {one['wire'] / 1e6:.0f} MB | {one['written'] / 1e6:.0f} MB |")
    return "\n".join(lines)


def plot(results, path):
    """Medians of every flow and the bound, an axis a row, as SVG."""
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "ingot"  # the same picture from the same figures
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(results), 1, figsize=(9, sum(0.45 + 0.28 * len(one["flows"]) for one in results)),
                                   gridspec_kw={"height_ratios": [1 + 0.6 * len(one["flows"]) for one in results]}, squeeze=False)
    for axis, result in zip(axes[:, 0], results):
        flows = sorted(result["flows"].items(), key=lambda item: -item[1]["median"])
        medians = [one["median"] for _, one in flows]
        spread = [[one["median"] - one["least"] for _, one in flows], [one["most"] - one["median"] for _, one in flows]]
        colours = ["#2a6f97" if name.startswith("ingot") else "#b0b7bd" for name, _ in flows]
        axis.barh([name for name, _ in flows], medians, xerr=spread, color=colours, error_kw={"elinewidth": 0.8})
        axis.axvline(result["bound"], color="#c1121f", linewidth=1, linestyle="--")
        axis.set_title(f"{result['row']} (dashed: the bound, {result['bound']:.2f} s)", loc="left", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("seconds from URL to durable disk", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
