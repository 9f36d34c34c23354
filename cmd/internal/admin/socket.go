package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// maxSocketPath is what fits into the kernel's sockaddr_un.
const maxSocketPath = 107

// listenUnix opens the socket with mode 0600. A socket that a killed daemon left behind is replaced; one that answers
// belongs to another daemon and is refused.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path of the admin socket has %d bytes, the system takes at most %d: %s; set admin.socket to a shorter path, such as /run/waybill.sock",
			len(path), maxSocketPath, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the admin socket: %w", err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mask, not a later chmod, gives the mode: between the two anyone could connect. Files that another goroutine makes
	// in this instant get a stricter mode, never a looser one.
	mask := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("listening on the admin socket %s: %w", path, err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the admin socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is in the way of the admin socket and is not a socket; move it, or set admin.socket to another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("another daemon answers at %s; stop it first, or give this one its own data folder", path), c.Close())
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the socket that a stopped daemon left: %w", err)
	}
	return nil
}
