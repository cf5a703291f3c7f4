// The machine form over a machine's room: change the line, and start again with it.

import { useEffect, useRef, useState } from 'react';
import { MachineForm } from '../machine-form.tsx';
import dialogs from '../dialog.module.css';

export interface MachineDialogProps {
  line: string;
  /** The machine would end. */
  running: boolean;
  onBoot(line: string): void;
  onClose(): void;
}

export function MachineDialog({ line, running, onBoot, onClose }: MachineDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [changed, setChanged] = useState(line);
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog ref={dialog} className={`${dialogs.dialog} ${dialogs.large}`} aria-labelledby="machine-dialog" onClose={onClose}>
      <div className={dialogs.body}>
        <h2 id="machine-dialog">Change the machine</h2>
        {running && <p>It is switched off, and starts with the new line; what it holds in memory is lost.</p>}
        <MachineForm line={changed} onLine={setChanged} onBoot={onBoot} action={running ? 'Switch off and start' : 'Start'} />
        <div className={dialogs.buttons}><button type="button" className="button" onClick={() => dialog.current?.close()}>Cancel</button></div>
      </div>
    </dialog>
  );
}
