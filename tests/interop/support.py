"""What the checks of this directory share: the host, built and started, and Chromium without a window."""

import json
import os
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))


class Unusable(Exception):
    """The check itself cannot run; says nothing about the host."""


def build(profile, packages):
    """Builds these packages, and gives the directory of what came out."""
    command = ["cargo", "build"]
    for package in packages:
        command += ["-p", package]
    if profile == "release":
        command.append("--release")
    if subprocess.run(command, cwd=REPOSITORY).returncode:
        raise Unusable("the host cannot be built")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(REPOSITORY, "target"))
    return os.path.join(target, profile)


def put_plugin(content, path):
    """Puts a plugin file in place, whole from the first moment."""
    staged = path + ".part"
    with open(staged, "wb") as file:
        file.write(content)
    os.chmod(staged, 0o755)
    os.rename(staged, path)


class Host:
    """A running host with these plugin files and this config."""

    def __init__(self, binaries, directory, plugins, config):
        self.program = os.path.join(binaries, "hotsocket")
        self.plugins = os.path.join(directory, "plugins")
        self.control = os.path.join(directory, "control.sock")
        os.makedirs(self.plugins, 0o755)
        for plugin in plugins:
            with open(os.path.join(binaries, plugin), "rb") as file:
                put_plugin(file.read(), os.path.join(self.plugins, plugin))
        with open(os.path.join(directory, "hotsocket.json"), "w") as file:
            json.dump(config, file)
        self.log = os.path.join(directory, "server.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "serve", "--listen", "127.0.0.1:0", "--plugins", self.plugins,
                 "--config", os.path.join(directory, "hotsocket.json"), "--control", self.control],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line.startswith(("listening on ws://", "listening on wss://")):
            self.end()
            with open(self.log) as log:
                raise Unusable("the host does not listen: %r\n%s" % (line, log.read()))
        address, _, port = line.split("//")[1].strip().rpartition(":")
        self.address = (address, int(port))
        self.origin = "%s://%s:%s" % ("https" if "tls" in config else "http", *self.address)

    def loaded(self):
        """What `hotsocket plugin list` tells, by the name of the plugin and the state."""
        command = [self.program, "plugin", "list", "--json", "--control", self.control]
        told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return {(plugin["name"], plugin["state"]): plugin for plugin in told}

    def end(self):
        self.process.terminate()
        self.process.wait()


class Browser:
    """Chromium at a page, until `end`."""

    def __init__(self, program, directory, page, options=()):
        # Chromium refuses to run as root with its sandbox.
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [program, "--headless", *root, "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--user-data-dir=" + directory, *options, page]
        with open(directory + ".log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
